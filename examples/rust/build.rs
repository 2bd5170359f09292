//! Generates the client when the crate is built. ASSET_PROTO_DIR names the folder `asset-proto` of the unpacked archive of the contract.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-env-changed=ASSET_PROTO_DIR");
    let include = PathBuf::from(std::env::var("ASSET_PROTO_DIR").unwrap_or_else(|_| "asset-proto".into()));
    println!("cargo:rerun-if-changed={}", include.display());
    let files = ["asset/v1/asset_service.proto", "google/rpc/error_details.proto"];
    // In Rust, so that no protoc has to be installed.
    let descriptors = protox::compile(files, [include])?;
    tonic_prost_build::configure()
        .build_server(false)
        .compile_fds(descriptors)?;
    Ok(())
}

//! Uploads a file with checksums, downloads it and lists the files of its owner:
//!
//!     cargo run -- FILE COPY
//!
//! ASSET_SERVICE_URL is where the service is, http://127.0.0.1:8080 where unset; ASSET_SERVICE_TOKEN the access token, if it asks for one.

use std::{env, error::Error, path::Path};

use prost::Message;
use sha2::{Digest, Sha256};
use tokio::{
    fs::File as LocalFile,
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{metadata::AsciiMetadataValue, service::Interceptor, transport::Channel, Request, Status};

mod buf {
    pub mod validate {
        #![allow(clippy::all, dead_code)]
        tonic::include_proto!("buf.validate");
    }
}
mod google {
    pub mod rpc {
        #![allow(dead_code)]
        tonic::include_proto!("google.rpc");
    }
}
mod asset {
    pub mod v1 {
        #![allow(dead_code)]
        tonic::include_proto!("asset.v1");
    }
}

use asset::v1::{asset_service_client::AssetServiceClient, upload_request::FirstMessage, upload_response::WriteStatus, *};

const CHUNK_BYTES: usize = 1 << 20;
const OWNER: &str = "ann";

type Failure = Box<dyn Error + Send + Sync>;

/// Sends the access token with every call.
#[derive(Clone)]
struct Token(Option<AsciiMetadataValue>);

impl Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

type Service = AssetServiceClient<tonic::service::interceptor::InterceptedService<Channel, Token>>;

/// The messages of one Upload call: the description first, then the bytes in chunks, in the last message the checksums of the whole.
async fn send(mut source: LocalFile, spec: UploadSpec, messages: mpsc::Sender<UploadRequest>) -> Result<(), Failure> {
    let first = FirstMessage::UploadSpec(spec);
    messages.send(UploadRequest { first_message: Some(first), ..Default::default() }).await?;
    let (mut sha256, mut whole, mut offset) = (Sha256::new(), 0, 0);
    loop {
        let mut content = Vec::with_capacity(CHUNK_BYTES);
        (&mut source).take(CHUNK_BYTES as u64).read_to_end(&mut content).await?;
        if content.is_empty() {
            break;
        }
        sha256.update(&content);
        whole = crc32c::crc32c_append(whole, &content);
        let bytes = content.len() as i64;
        let data = ChecksummedData { crc32c: Some(crc32c::crc32c(&content)), content, ..Default::default() };
        messages.send(UploadRequest { write_offset: offset, data: Some(data), ..Default::default() }).await?;
        offset += bytes;
    }
    let checksums = Checksums { sha256: sha256.finalize().to_vec(), crc32c: Some(whole), ..Default::default() };
    let last = UploadRequest { write_offset: offset, checksums: Some(checksums), finish_write: true, ..Default::default() };
    messages.send(last).await?;
    Ok(())
}

/// Sends a file in one call. With the same request id the same bytes give the same file, so a call whose answer was lost can be made again.
async fn upload(service: &mut Service, path: &Path, request_id: String) -> Result<File, Failure> {
    let source = LocalFile::open(path).await?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let spec = UploadSpec {
        file: Some(File { name, owner: OWNER.into(), usage: "dataset".into(), ..Default::default() }),
        size_bytes: Some(source.metadata().await?.len() as i64),
        request_id,
        ..Default::default()
    };
    let (messages, receiver) = mpsc::channel(4);
    let (sent, answer) = tokio::join!(send(source, spec, messages), service.upload(ReceiverStream::new(receiver)));
    // A call that the service has ended takes no more messages; its answer tells why.
    let status = answer?.into_inner().write_status;
    sent?;
    match status {
        Some(WriteStatus::File(file)) => Ok(file),
        _ => Err("the service answered without a file".into()),
    }
}

/// Writes a file to a path and checks each piece and the whole.
async fn download(service: &mut Service, id: &str, path: &Path) -> Result<u64, Failure> {
    let request = DownloadFileRequest { file_id: id.into(), ..Default::default() };
    let mut stream = service.download_file(request).await?.into_inner();
    let mut target = LocalFile::create(path).await?;
    let (mut sha256, mut expected, mut size) = (Sha256::new(), Vec::new(), 0);
    while let Some(message) = stream.message().await? {
        if let Some(checksums) = message.file.and_then(|file| file.checksums) {
            expected = checksums.sha256;
        }
        let Some(data) = message.data else { continue };
        if data.crc32c.is_some_and(|sum| sum != crc32c::crc32c(&data.content)) {
            return Err("a piece of the download does not have its checksum".into());
        }
        sha256.update(&data.content);
        target.write_all(&data.content).await?;
        size += data.content.len() as u64;
    }
    target.flush().await?;
    if sha256.finalize().as_slice() != expected {
        return Err("the download does not have its SHA-256".into());
    }
    Ok(size)
}

/// Prints the files of the owner, page by page.
async fn list(service: &mut Service) -> Result<(), Failure> {
    let filter = Some(FileFilter { owner: OWNER.into(), ..Default::default() });
    let mut request = ListFilesRequest { filter, page_size: 100, ..Default::default() };
    loop {
        let page = service.list_files(request.clone()).await?.into_inner();
        for file in page.files {
            println!("listed {} {}", file.id, file.name);
        }
        if page.next_page_token.is_empty() {
            return Ok(());
        }
        request.page_token = page.next_page_token;
    }
}

/// The reason of the contract, such as FILE_NOT_FOUND; empty where the error has none.
fn reason_of(status: &Status) -> String {
    let details = google::rpc::Status::decode(status.details()).map(|decoded| decoded.details);
    details
        .unwrap_or_default()
        .iter()
        .filter(|detail| detail.type_url.ends_with("/google.rpc.ErrorInfo"))
        .filter_map(|detail| google::rpc::ErrorInfo::decode(detail.value.as_slice()).ok())
        .map(|info| info.reason.trim_start_matches("ERROR_REASON_").to_owned())
        .next()
        .unwrap_or_default()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [source, target] = arguments.as_slice() else { return Err("usage: cargo run -- FILE COPY".into()) };
    let url = env::var("ASSET_SERVICE_URL").unwrap_or_else(|_| "http://127.0.0.1:8080".into());
    let token = match env::var("ASSET_SERVICE_TOKEN") {
        Ok(token) if !token.is_empty() => Some(format!("Bearer {token}").parse()?),
        _ => None,
    };
    let channel = Channel::from_shared(url)?.connect().await?;
    let mut service = AssetServiceClient::with_interceptor(channel, Token(token));
    let file = upload(&mut service, Path::new(source), uuid::Uuid::new_v4().to_string()).await?;
    println!("uploaded {}", file.id);
    println!("downloaded {} bytes", download(&mut service, &file.id, Path::new(target)).await?);
    list(&mut service).await?;
    let request = GetFileRequest { file_id: "0".into(), ..Default::default() };
    if let Err(status) = service.get_file(request).await {
        println!("refused {:?} {}", status.code(), reason_of(&status));
    }
    Ok(())
}

"""Generates the Python package `asset_api` from the contract, beside this file or in the directory that is given.

    python generate.py PROTO_DIR [TARGET_DIR]

The modules that protoc writes import each other by the path of their proto, so a plain run would put packages named `asset` and `buf` at
the top, the second of which clashes with protovalidate's. So the files are moved into a package of their own before protoc sees
them. The rules for fields (buf.validate), which the service checks anyway, are left out.
"""

import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc

PACKAGE = "asset_api"
VALIDATE = "buf/validate/validate.proto"


def run(*arguments: str) -> None:
    if protoc.main(["protoc", *arguments]) != 0:
        raise SystemExit("protoc failed")


def moved(name: str) -> str:
    return f"{PACKAGE}/{name.removeprefix('asset/')}" if name.startswith("asset/") else name


def main(proto_dir: Path, target: Path) -> None:
    sources = sorted(str(path.relative_to(proto_dir)) for path in proto_dir.glob("asset/**/*.proto"))
    if not sources:
        raise SystemExit(f"there is no asset/**/*.proto in {proto_dir}")
    with tempfile.TemporaryDirectory() as work:
        descriptors = Path(work) / "contract.binpb"
        run(
            f"-I{proto_dir}",
            f"-I{files('grpc_tools') / '_proto'}",
            "--include_imports",
            f"--descriptor_set_out={descriptors}",
            *sources,
        )
        contract = FileDescriptorSet.FromString(descriptors.read_bytes())
        # The rules are extensions of options that this program does not know.
        contract.DiscardUnknownFields()
        kept = [file for file in contract.file if file.name != VALIDATE]
        for file in kept:
            imports = [moved(name) for name in file.dependency if name != VALIDATE]
            file.name = moved(file.name)
            del file.dependency[:]
            file.dependency.extend(imports)
        descriptors.write_bytes(FileDescriptorSet(file=kept).SerializeToString())
        target.mkdir(parents=True, exist_ok=True)
        run(
            f"--descriptor_set_in={descriptors}",
            f"--python_out={target}",
            f"--pyi_out={target}",
            f"--grpc_python_out={target}",
            *[moved(name) for name in sources],
        )
    for folder in {(target / moved(name)).parent for name in sources} | {target / PACKAGE}:
        (folder / "__init__.py").touch()


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) == 3 else Path(__file__).parent)

"""Uploads a file with checksums, downloads it and lists the files of its owner.

    python example.py FILE COPY

ASSET_SERVICE_ADDRESS is host and port of the service, 127.0.0.1:8080 where unset; ASSET_SERVICE_TOKEN the access token, if it asks for one.
"""

import hashlib
import os
import sys
import uuid
from pathlib import Path
from typing import Iterator

import google_crc32c
import grpc
from google.rpc import error_details_pb2
from grpc import RpcError

from asset_api.v1 import asset_service_pb2 as api
from asset_api.v1 import asset_service_pb2_grpc, file_pb2

CHUNK_BYTES = 1024 * 1024
OWNER = "ann"


def upload_requests(path: Path, request_id: str) -> Iterator[api.UploadRequest]:
    """One Upload call: the description first, then the bytes in chunks, in the last message the checksums of the whole."""
    sha256 = hashlib.sha256()
    crc32c = google_crc32c.Checksum()
    spec = api.UploadSpec(
        file=file_pb2.File(name=path.name, owner=OWNER, usage="dataset"),
        size_bytes=path.stat().st_size,
        request_id=request_id,
    )
    yield api.UploadRequest(upload_spec=spec)
    offset = 0
    with path.open("rb") as source:
        while chunk := source.read(CHUNK_BYTES):
            sha256.update(chunk)
            crc32c.update(chunk)
            data = api.ChecksummedData(content=chunk, crc32c=google_crc32c.value(chunk))
            yield api.UploadRequest(write_offset=offset, data=data)
            offset += len(chunk)
    checksums = file_pb2.Checksums(sha256=sha256.digest(), crc32c=int.from_bytes(crc32c.digest(), "big"))
    yield api.UploadRequest(write_offset=offset, checksums=checksums, finish_write=True)


def download(service: asset_service_pb2_grpc.AssetServiceStub, file_id: str, target: Path, metadata=None) -> None:
    """Writes a file to a path. Raises ValueError if a piece or the whole does not have its checksum."""
    sha256 = hashlib.sha256()
    expected = b""
    with target.open("wb") as copy:
        for message in service.DownloadFile(api.DownloadFileRequest(file_id=file_id), metadata=metadata):
            if message.HasField("file"):
                expected = message.file.checksums.sha256
            content = message.data.content
            if message.data.HasField("crc32c") and google_crc32c.value(content) != message.data.crc32c:
                raise ValueError("a piece of the download does not have its checksum")
            sha256.update(content)
            copy.write(content)
    if sha256.digest() != expected:
        raise ValueError("the download does not have its SHA-256")


def reason_of(error: RpcError) -> str:
    """The reason of the contract, such as FILE_NOT_FOUND; empty where the error has none."""
    for key, value in error.trailing_metadata() or ():
        if key != "grpc-status-details-bin":
            continue
        from google.rpc import status_pb2

        for detail in status_pb2.Status.FromString(value).details:
            info = error_details_pb2.ErrorInfo()
            if detail.Unpack(info):
                return info.reason.removeprefix("ERROR_REASON_")
    return ""


def main(source: Path, target: Path) -> None:
    token = os.environ.get("ASSET_SERVICE_TOKEN")
    metadata = [("authorization", f"Bearer {token}")] if token else None
    with grpc.insecure_channel(os.environ.get("ASSET_SERVICE_ADDRESS", "127.0.0.1:8080")) as channel:
        service = asset_service_pb2_grpc.AssetServiceStub(channel)
        # Sent again with the same request id, the same bytes give the same file.
        answer = service.Upload(upload_requests(source, str(uuid.uuid4())), metadata=metadata, timeout=600)
        print(f"uploaded {answer.file.id}")
        download(service, answer.file.id, target, metadata)
        print(f"downloaded {target.stat().st_size} bytes")
        page_token = ""
        while True:
            page = service.ListFiles(
                api.ListFilesRequest(filter=api.FileFilter(owner=OWNER), page_size=100, page_token=page_token),
                metadata=metadata,
            )
            for file in page.files:
                print(f"listed {file.id} {file.name}")
            page_token = page.next_page_token
            if not page_token:
                break
        try:
            service.GetFile(api.GetFileRequest(file_id="0"), metadata=metadata)
        except RpcError as error:
            print(f"refused {error.code().name} {reason_of(error)}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))

"""Processor time of the client against a bare stream of grpcio, interleaved: `python bench.py [MIB] [ROUNDS]`.

Starts the service of this checkout on its embedded store. The bare stream uses the generated messages, and reads and writes
the same files; it computes no checksum, or the SHA-256 alone. The asyncio client is held against a bare stream of grpcio's
asyncio. Only the time of this process counts, not that of the service.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

import grpc

from asset_service import AssetClient, AsyncAssetClient
from asset_service._gen import asset_service_pb2 as pb
from asset_service._gen import file_pb2, methods

sys.path.insert(0, str(Path(__file__).parent / "tests"))
from support import MiB, Service  # noqa: E402


def upload_messages(path: Path) -> Iterator[pb.UploadRequest]:
    """The messages of one Upload call."""
    size = path.stat().st_size
    spec = pb.UploadSpec(file=file_pb2.File(name="bare", content_type="application/octet-stream"), size_bytes=size)
    yield pb.UploadRequest(upload_spec=spec)
    offset = 0
    with path.open("rb", buffering=0) as source:
        while piece := source.read(MiB):
            last = offset + len(piece) == size
            data = pb.ChecksummedData(content=piece)
            yield pb.UploadRequest(write_offset=offset, data=data, finish_write=last)
            offset += len(piece)


def bare_upload(channel: grpc.Channel, path: Path) -> str:
    """One Upload call with the generated messages."""
    call: grpc.StreamUnaryMultiCallable[pb.UploadRequest, pb.UploadResponse] = channel.stream_unary(
        methods.UPLOAD.path,
        request_serializer=pb.UploadRequest.SerializeToString,
        response_deserializer=pb.UploadResponse.FromString,
    )
    return call(upload_messages(path)).file.id


def bare_download(channel: grpc.Channel, file_id: str, path: Path, sha256: bool = False) -> None:
    """One DownloadFile call with the generated messages."""
    call: grpc.UnaryStreamMultiCallable[pb.DownloadFileRequest, pb.DownloadFileResponse] = channel.unary_stream(
        methods.DOWNLOAD_FILE.path,
        request_serializer=pb.DownloadFileRequest.SerializeToString,
        response_deserializer=pb.DownloadFileResponse.FromString,
    )
    whole = hashlib.sha256()
    with path.open("wb", buffering=0) as target:
        for message in call(pb.DownloadFileRequest(file_id=file_id)):
            if sha256:
                whole.update(message.data.content)
            target.write(message.data.content)


async def bare_upload_async(target: str, path: Path) -> None:
    """The same in grpcio's asyncio. With a connection of its own."""
    async with grpc.aio.insecure_channel(target) as channel:
        call: grpc.aio.StreamUnaryMultiCallable[pb.UploadRequest, pb.UploadResponse] = channel.stream_unary(
            methods.UPLOAD.path,
            request_serializer=pb.UploadRequest.SerializeToString,
            response_deserializer=pb.UploadResponse.FromString,
        )
        await call(upload_messages(path))


async def bare_download_async(target: str, file_id: str, path: Path, sha256: bool = False) -> None:
    """The same in grpcio's asyncio, which costs more by itself. With a connection of its own."""
    async with grpc.aio.insecure_channel(target) as channel:
        call: grpc.aio.UnaryStreamMultiCallable[pb.DownloadFileRequest, pb.DownloadFileResponse] = channel.unary_stream(
            methods.DOWNLOAD_FILE.path,
            request_serializer=pb.DownloadFileRequest.SerializeToString,
            response_deserializer=pb.DownloadFileResponse.FromString,
        )
        whole = hashlib.sha256()
        with path.open("wb", buffering=0) as file:
            async for message in call(pb.DownloadFileRequest(file_id=file_id)):
                if sha256:
                    whole.update(message.data.content)
                file.write(message.data.content)


def to_file(download: Callable[[BinaryIO], object], path: Path) -> None:
    """Downloads into an open file."""
    with path.open("wb", buffering=0) as target:
        download(cast(BinaryIO, target))


def cpu() -> float:
    """Processor time of this process in seconds."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main(mib: int, rounds: int) -> None:
    """Prints a table."""
    service = Service().start()
    folder = Path(tempfile.mkdtemp(prefix="asset-bench-"))
    source, target = folder / "source", folder / "target"
    source.write_bytes(os.urandom(MiB) * mib)
    loop = asyncio.new_event_loop()
    client, other = AssetClient(service.url), AsyncAssetClient(service.url)
    address = service.url.removeprefix("http://")
    channel = grpc.insecure_channel(address)
    file_id = client.upload(source).id
    cases: dict[str, Callable[[], object]] = {
        "upload, bare": lambda: bare_upload(channel, source),
        "upload": lambda: client.upload(source),
        "upload, verify sha256": lambda: client.upload(source, verify="sha256"),
        "upload, asyncio, bare": lambda: loop.run_until_complete(bare_upload_async(address, source)),
        "upload, asyncio": lambda: loop.run_until_complete(other.upload(source)),
        "download, bare": lambda: bare_download(channel, file_id, target),
        "download, bare + sha256": lambda: bare_download(channel, file_id, target, sha256=True),
        "download": lambda: to_file(lambda file: client.download_to(file_id, file), target),
        "download, crc32c": lambda: to_file(lambda file: client.download_to(file_id, file, verify="crc32c"), target),
        "download, unverified": lambda: to_file(lambda file: client.download_to(file_id, file, verify="none"), target),
        "download, asyncio, bare": lambda: loop.run_until_complete(bare_download_async(address, file_id, target)),
        "download, asyncio, bare + sha256": lambda: loop.run_until_complete(
            bare_download_async(address, file_id, target, sha256=True)
        ),
        "download, asyncio": lambda: to_file(
            lambda file: loop.run_until_complete(other.download_to(file_id, file)), target
        ),
        "download, asyncio, crc32c": lambda: to_file(
            lambda file: loop.run_until_complete(other.download_to(file_id, file, verify="crc32c")), target
        ),
        # Written beside, flushed to disk and renamed, which the others are not.
        "download, path": lambda: client.download(file_id, target),
    }
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
    try:
        for _ in range(rounds):
            for name, work in cases.items():
                before, begun = cpu(), time.monotonic()
                work()
                seen[name].append(((cpu() - before) * 1024 / mib, mib / (time.monotonic() - begun)))
    finally:
        loop.run_until_complete(other.close())
        client.close()
        channel.close()
        service.dispose()
        for each in (source, target):
            each.unlink(missing_ok=True)
        folder.rmdir()
    print(f"{mib} MiB, {rounds} rounds, medians")
    print(f"{'case':34} {'CPU s/GiB':>9} {'to bare':>8} {'MiB/s':>6}")
    for name, values in seen.items():
        used, speed = (statistics.median(each) for each in zip(*values, strict=True))
        kind = name.split(",")[0] + (", asyncio" if ", asyncio" in name else "")
        bare = statistics.median(each for each, _ in seen[f"{kind}, bare"])
        print(f"{name:34} {used:9.2f} {used / bare:7.2f}x {speed:6.0f}")


if __name__ == "__main__":
    main(*(int(each) for each in [*sys.argv[1:], *("256", "5")[len(sys.argv) - 1 :]]))

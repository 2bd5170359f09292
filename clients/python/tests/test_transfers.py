"""Uploads and downloads of every kind, without failures."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import struct
import zlib
from pathlib import Path
from typing import Any

import google_crc32c
import pytest
from support import MiB

from asset_service import AssetError, IntegrityError, InvalidArgumentError, LimitError, Progress, SourceError, TargetError


LARGE = ("path", "memoryview", "file object in the middle", "iterator", "function that opens a file")


def kinds(content: bytes, path: Path) -> dict[str, Any]:
    """The content as a source of every kind."""
    at_ten = io.BytesIO(b"0123456789" + content)
    at_ten.seek(10)
    return {
        "path": path,
        "text": str(path),
        "URL": path.as_uri(),
        "bytes": content,
        "bytearray": bytearray(content),
        "memoryview": memoryview(content),
        "file object": io.BytesIO(content),
        "file object in the middle": at_ten,
        "raw file": path.open("rb", buffering=0),
        "iterator": iter([content[:1], b"", content[1 : 7 * MiB], content[7 * MiB :]]),
        "list": [content[: 2 * MiB], memoryview(content)[2 * MiB :]],
        "function": lambda: [content],
        "function that opens a file": lambda: path.open("rb"),
    }


@pytest.mark.parametrize("size", [0, MiB, 18 * MiB + 123])
def test_takes_sources_of_every_kind(client: Any, tmp_path: Path, content: bytes, size: int) -> None:
    content = content[:size]
    path = tmp_path / "small.bin"
    path.write_bytes(content)
    wanted = (hashlib.sha256(content).hexdigest(), google_crc32c.value(content), size)
    # Over several calls a few behave like the others.
    chosen = LARGE if size > 8 * MiB else None
    for kind, source in kinds(content, path).items():
        if chosen is not None and kind not in chosen:
            continue
        file = client.upload(source)
        assert (file.sha256, file.crc32c, file.size_bytes) == wanted, kind
    assert client.upload(path).name == "small.bin"
    assert client.upload(path, name="other.bin", content_type="application/x-other").name == "other.bin"


@pytest.mark.parametrize(
    "source",
    [3, None, io.StringIO("text"), ["text"], lambda: 3, "/no/such/file", os.curdir, lambda: lambda: b""],
)
def test_refuses_what_is_no_source(client: Any, source: Any) -> None:
    with pytest.raises(SourceError) as caught:
        client.upload(source)
    assert caught.value.reason == "SOURCE_FAILED"


def test_a_failure_of_a_source_is_its_cause(client: Any) -> None:
    def broken() -> Any:
        yield b"x" * 9 * MiB
        raise RuntimeError("the tape is torn")

    with pytest.raises(SourceError, match="the tape is torn") as caught:
        client.upload(broken())
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert caught.value.request_id


def test_sizes_and_checksums_of_the_caller_are_verified(client: Any, content: bytes) -> None:
    for data in (b"hello", content):
        sha256, crc = hashlib.sha256(data).hexdigest(), google_crc32c.value(data)
        assert client.upload(data, sha256=sha256, crc32c=crc).sha256 == sha256
        assert client.upload(data, verify="sha256").sha256 == sha256
        for wrong in ({"sha256": "0" * 64}, {"crc32c": crc ^ 1}):
            with pytest.raises(IntegrityError) as caught:
                client.upload(data, owner="wrong", **wrong)
            assert (caught.value.code, caught.value.reason) == ("INVALID_ARGUMENT", "CHECKSUM_MISMATCH")
        with pytest.raises(AssetError) as mismatch:
            client.upload([data], size_bytes=len(data) + 1, owner="wrong")
        assert mismatch.value.reason == "SIZE_MISMATCH"
    assert list(client.list(owner="wrong")) == []


@pytest.mark.stores
def test_a_request_id_gives_one_file(client: Any, content: bytes) -> None:
    for data in (b"hello", content):
        request_id = f"id-{os.urandom(8).hex()}"
        first = client.upload(data, request_id=request_id)
        assert client.upload(data, request_id=request_id).id == first.id
        with pytest.raises(AssetError) as caught:
            client.upload(data[:-1] + b"!", request_id=request_id)
        assert (caught.value.code, caught.value.reason) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")
        assert caught.value.request_id == request_id


def test_downloads_ranges(client: Any, content: bytes, tmp_path: Path) -> None:
    file = client.upload(content, name="range.bin")
    size = len(content)
    for offset, length in ((0, None), (0, 1), (5, 3 * MiB), (size - 1, None), (size, None), (size - 5, 100)):
        wanted = content[offset:] if length is None else content[offset : offset + length]
        assert client.download_bytes(file.id, offset=offset, length=length) == wanted
        with client.open(file.id, offset=offset, length=length) as opened:
            assert opened.file.name == "range.bin"
            assert b"".join(opened) == wanted
        target = io.BytesIO()
        assert client.download_to(file.id, target, offset=offset, length=length).id == file.id
        assert target.getvalue() == wanted
        path = client.download(file.id, tmp_path / "part", offset=offset, length=length)
        assert path.read_bytes() == wanted
    with client.open(file.id, offset=3) as opened:
        assert opened.read() == content[3:]
    with pytest.raises(AssetError) as caught:
        client.download_bytes(file.id, offset=size + 1)
    assert caught.value.reason == "READ_OFFSET_OUT_OF_RANGE"
    with pytest.raises(LimitError) as limit:
        client.download_bytes(file.id, max_bytes=100)
    assert limit.value.reason == "DOWNLOAD_TOO_LARGE"
    empty = client.upload(b"")
    assert client.download_bytes(empty.id) == b""


def test_a_download_replaces_a_file_at_once(client: Any, tmp_path: Path) -> None:
    file = client.upload(b"new", name=".hidden file")
    target = tmp_path / "old.txt"
    target.write_text("old")
    target.chmod(0o640)
    link = tmp_path / "link"
    link.symlink_to(target)
    assert client.download(file.id, link) == link
    assert (target.read_bytes(), stat.S_IMODE(target.stat().st_mode), link.is_symlink()) == (b"new", 0o640, True)
    # A directory gets it under a safe name, once.
    place = tmp_path / "folder"
    place.mkdir()
    path = client.download(file.id, place)
    assert path == place / "hidden file" and path.read_bytes() == b"new"
    with pytest.raises(TargetError) as caught:
        client.download(file.id, place)
    assert (caught.value.code, caught.value.reason) == ("ALREADY_EXISTS", "TARGET_EXISTS")
    for bad in (tmp_path / "none" / "file", f"{tmp_path}/none/", tmp_path / "old.txt" / "file"):
        with pytest.raises(TargetError) as caught:
            client.download(file.id, bad)
        assert caught.value.reason == "TARGET_FAILED"
    assert not list(tmp_path.rglob(".asset-*"))


def test_a_download_fills_a_pipe(client: Any, tmp_path: Path) -> None:
    file = client.upload(b"through the pipe")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert client.download(file.id, pipe) == pipe
        assert os.read(reader, 100) == b"through the pipe"
    finally:
        os.close(reader)


class Bar:
    """What tqdm's bar has."""

    def __init__(self) -> None:
        self.total: Any = None
        self.n = 0

    def update(self, n: int) -> None:
        self.n += n

    def refresh(self) -> None:
        pass


def test_progress(client: Any, content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[Progress] = []
    bar = Bar()
    file = client.upload(content, progress=seen.append)
    assert client.upload(content, progress=bar).id != file.id
    for events in (seen,):
        assert [each.done for each in events] == sorted(each.done for each in events)
        assert (events[-1].done, events[-1].total, events[-1].attempt) == (len(content), len(content), 1)
    assert (bar.n, bar.total) == (len(content), len(content))
    seen.clear()
    client.download(file.id, tmp_path / "copy", progress=seen.append)
    assert (seen[-1].done, seen[-1].total) == (len(content), len(content))
    client.download_bytes(file.id, progress=True)
    assert "100%" in capsys.readouterr().err

    def broken(_: Progress) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        client.upload(content, progress=broken, owner="broken")
    assert list(client.list(owner="broken")) == []


@pytest.mark.stores
def test_sessions(client: Any, content: bytes) -> None:
    started = client.start_upload(name="session.bin", size_bytes=len(content))
    status = client.get_upload(started.upload_id)
    assert (status.persisted_bytes, status.size_bytes) == (0, len(content))
    assert status.create_time is not None and status.description.name == "session.bin"
    file = client.resume_upload(started.upload_id, content)
    assert (file.id, file.name) == (started.upload_id, "session.bin")
    assert client.get_upload(started.upload_id).file == file
    # The same bytes again are the same file; others are refused.
    assert client.resume_upload(started.upload_id, content).id == file.id
    with pytest.raises(AssetError) as caught:
        client.resume_upload(started.upload_id, content[1:])
    assert caught.value.reason == "REQUEST_ID_REUSED"
    other = client.start_upload()
    client.cancel_upload(other.upload_id)
    with pytest.raises(AssetError) as caught:
        client.resume_upload(other.upload_id, b"")
    assert caught.value.reason == "UPLOAD_NOT_FOUND"


def test_many_uploads(client: Any, content: bytes) -> None:
    def sources() -> Any:
        for number in range(10):
            yield b"%d" % number
        yield "/no/such/file"
        yield content

    results = client.upload_many(sources(), owner="many", concurrency=3)
    assert [result.file.size_bytes if result.file else result.error.reason for result in results] == [
        *[1] * 10,
        "SOURCE_FAILED",
        len(content),
    ]
    assert {result.unwrap().owner for result in results if result.file} == {"many"}

    def broken() -> Any:
        yield b"one"
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        client.upload_many(broken())


def picture(width: int, height: int) -> bytes:
    """A grey PNG."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress((b"\0" + b"\x80" * width) * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_downloads_a_variant_of_an_image(client: Any, tmp_path: Path) -> None:
    file = client.upload(picture(40, 20), name="grey.png", usage="picture")
    webp = client.download_bytes(file.id, variant="thumb", accept="image/webp")
    assert (webp[:4], webp[8:12]) == (b"RIFF", b"WEBP")
    jpeg = client.download_bytes(file.id, variant="thumb")
    assert jpeg[:3] == b"\xff\xd8\xff"
    assert client.download_bytes(file.id, offset=2, length=1, variant="thumb") == b"\xff"
    assert client.download(file.id, tmp_path / "thumb.jpeg", variant="thumb").read_bytes() == jpeg
    target = io.BytesIO()
    record = client.download_to(file.id, target, variant="thumb", accept="image/webp")
    assert target.getvalue() == webp
    assert (record.id, record.content_type, record.size_bytes) == (file.id, "image/webp", len(webp))
    assert (record.sha256, record.crc32c) == (None, None)
    assert client.download_bytes(file.id) == picture(40, 20)
    with pytest.raises(InvalidArgumentError) as caught:
        client.download_bytes(file.id, variant="large")
    assert caught.value.reason == "FIELD_INVALID"

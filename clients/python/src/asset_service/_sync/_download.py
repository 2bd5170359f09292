# Made from _async/_download.py by tools/generate_sync.py. Change that file.
"""Reads of one file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from asset_service._arguments import check_text, check_whole
from asset_service._sync._caller import Caller
from asset_service._sync._io import Stream, closing, run_blocking, sleep
from asset_service._sync._targets import FileObject, Memory, Piece, pass_on
from asset_service._download_target import PathTarget
from asset_service._gen import asset_service_pb2 as pb
from asset_service._gen import methods
from asset_service._lean import DownloadPiece, read_download
from asset_service._messages import to_file
from asset_service._requests import set_ref
from asset_service._verify import DownloadCheck, Verify, check_verify
from asset_service.errors import AssetError, damaged, make_error, no_answer
from asset_service.progress import ProgressTarget
from asset_service.records import AssetFile, FileRef
from asset_service.retry import CallOptions

MAX_BYTES = 64 * 1024 * 1024


class Download:
    """A file opened for reading: an iterator over its bytes.

    Every piece is checked against its CRC32C before it is passed on, and a whole file against its SHA-256: then the end of
    the iteration raises DOWNLOAD_DAMAGED. `verify` of `open` changes this. A broken download resumes. Close it, or use it as a context manager, unless you read it to its end.
    """

    def __init__(self, pieces: Stream[tuple[AssetFile, Piece]], file: AssetFile, first: Piece) -> None:
        self.file = file
        """The record of the file."""
        self._pieces = pieces
        self._first: Piece | None = first

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        while True:
            piece = self._next()
            if piece is None:
                raise StopIteration
            if len(piece) > 0:
                return bytes(piece)

    def _next(self) -> Piece | None:
        first, self._first = self._first, None
        if first is not None:
            return first
        found = next(self._pieces, None)
        return None if found is None else found[1]

    def read(self) -> bytes:
        """All bytes that are left."""
        return b"".join([piece for piece in self])

    def close(self) -> None:
        """Ends the download."""
        self._pieces.close()

    def __enter__(self) -> Download:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Range:
    """The range of a file, or of a variant of it, to read, and what to check it against."""

    def __init__(
        self,
        offset: int,
        length: int | None,
        variant: str | None = None,
        accept: str | None = None,
        verify: Verify = "sha256",
    ) -> None:
        check_whole("offset", offset)
        check_whole("length", length, 1)
        self.offset, self.length = offset, length
        self.variant, self.accept = check_text("variant", variant), check_text("accept", accept)
        self.verify: Verify = check_verify(verify)

    def record(self, message: DownloadPiece) -> AssetFile | None:
        """The record in the first message of a download; with the type and the size of the variant, if one is read."""
        if message.file is None:
            return None
        file = to_file(message.file)
        if self.variant == "":
            return file
        return replace(
            file, content_type=message.content_type, size_bytes=message.size_bytes, sha256=None, crc32c=None
        )

    def size(self, file: AssetFile) -> int:
        """Number of bytes of the range that the file has."""
        left = file.size_bytes - self.offset
        return left if self.length is None else min(self.length, left)

    def is_whole(self, file: AssetFile) -> bool:
        """True if the range is all of the file."""
        return self.offset == 0 and self.size(file) == file.size_bytes


def open_download(
    caller: Caller, ref: FileRef, wanted: Range, options: CallOptions, each: bool = False
) -> Download:
    """Opens a file. Raises if it cannot be read at all; later failures come with the bytes.

    each: checks every piece before it is passed on, also of a file whose SHA-256 is checked at its end.
    """
    pieces = _read_pieces(caller, ref, wanted, options, each)
    first = next(pieces, None)
    if first is None:
        raise no_answer()
    return Download(pieces, *first)


def download_bytes(
    caller: Caller,
    ref: FileRef,
    wanted: Range,
    max_bytes: int | None,
    progress: ProgressTarget | None,
    options: CallOptions,
) -> bytes:
    """Reads a file into memory."""
    check_whole("max_bytes", max_bytes)
    limit = MAX_BYTES if max_bytes is None else max_bytes
    with open_download(caller, ref, wanted, options) as download:
        size = wanted.size(download.file)
        if size > limit:
            raise make_error(
                "FAILED_PRECONDITION",
                f"the file has {size} bytes to read, and no more than {limit} are taken into memory: download it to a path",
                reason="DOWNLOAD_TOO_LARGE",
                metadata={"size_bytes": str(size), "max_bytes": str(limit)},
            )
        content = bytearray()
        pass_on(download, Memory(content), size, progress)
        return bytes(content)


def download_to_path(
    caller: Caller,
    ref: FileRef,
    path: str | os.PathLike[str],
    wanted: Range,
    progress: ProgressTarget | None,
    options: CallOptions,
) -> tuple[AssetFile, Path]:
    """Downloads a file to a path, which gets all of it or stays as it is."""
    target = run_blocking(PathTarget, path)
    try:
        with open_download(caller, ref, wanted, options) as download:
            while not run_blocking(target.open, download.file):
                # Opening a pipe that nobody reads would block.
                sleep(0.05)
            pass_on(download, target, wanted.size(download.file), progress)
            run_blocking(target.commit)
            return download.file, target.path
    finally:
        run_blocking(target.discard)


def download_to_file(
    caller: Caller,
    ref: FileRef,
    file: BinaryIO | Any,
    wanted: Range,
    progress: ProgressTarget | None,
    options: CallOptions,
) -> AssetFile:
    """Downloads a file into a file object, which stays open."""
    with open_download(caller, ref, wanted, options) as download:
        pass_on(download, FileObject(file), wanted.size(download.file), progress)
        return download.file


def _read_pieces(
    caller: Caller, ref: FileRef, wanted: Range, options: CallOptions, each: bool
) -> Stream[tuple[AssetFile, Piece]]:
    """The bytes of a file, checked. A broken download resumes where it stopped, because the bytes of a file never change.
    There is always a first piece, possibly empty."""
    request = pb.DownloadFileRequest(variant=wanted.variant, accept=wanted.accept)
    set_ref(request, ref)
    retries = caller.retries(options, float("inf"))
    file: AssetFile | None = None
    check: DownloadCheck | None = None
    got = 0
    while True:
        attempt = retries.next()
        request.read_offset = wanted.offset + got
        request.read_limit = 0 if wanted.length is None else wanted.length - got
        try:
            with closing(caller.stream(methods.DOWNLOAD_FILE, request, attempt, read_download)) as messages:
                for message in messages:
                    is_first = file is None
                    if file is None:
                        file = wanted.record(message)
                        if file is None:
                            raise no_answer()
                    check = check or DownloadCheck(wanted.verify, file, wanted.is_whole(file), each)
                    content: Piece = message.content
                    check.add(content, message.crc32c)
                    got += len(content)
                    retries.progressed()
                    if is_first or len(content) > 0:
                        yield file, content
            if file is None:
                raise no_answer()
            if got != wanted.size(file):
                raise damaged(file.id, f"the download ended after {got} of {wanted.size(file)} bytes")
            break
        except AssetError as error:
            # All bytes have arrived; only the end of the response was lost.
            if file is not None and got > 0 and got == wanted.size(file):
                break
            delay = retries.delay(error)
        sleep(delay)
    if check is not None:
        check.finish()

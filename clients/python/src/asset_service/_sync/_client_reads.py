# Made from _async/_client_reads.py by tools/generate_sync.py. Change that file.
"""Downloads and URLs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

from asset_service._arguments import Timeout
from asset_service._sync import _download, _many
from asset_service._sync._client_base import ClientBase
from asset_service._sync._download import Download, Range
from asset_service._gen import asset_service_pb2 as pb
from asset_service._gen import methods
from asset_service._messages import to_url
from asset_service._requests import to_url_request
from asset_service._verify import Verify
from asset_service.errors import invalid_option
from asset_service.progress import ProgressTarget
from asset_service.records import AssetFile, Disposition, FileRef, FileUrl, UrlResult


class ReadMethods(ClientBase):
    """Reads the bytes of files."""

    def open(
        self,
        file: FileRef,
        *,
        offset: int = 0,
        length: int | None = None,
        variant: str | None = None,
        accept: str | None = None,
        verify: Verify = "sha256",
        timeout: Timeout = None,
        headers: Mapping[str, str] | None = None,
    ) -> Download:
        """Opens a file, or `length` bytes of it from `offset`, for reading: an iterator over its bytes with its record.

        variant, accept: reads a rendition of the image instead, as for `url`. The record then has the type and size of the
        variant, and no checksums.
        verify: "sha256" checks a whole file against its SHA-256. "crc32c" takes its CRC32C instead, which costs a tenth of the
        processor time and finds accidents, but not what somebody changed on purpose. Both check the bytes of a range or a
        variant against the CRC32C of each message. "none" checks only how many bytes arrive.
        """
        options = self._options.call(timeout, headers, transfer=True)
        wanted = Range(offset, length, variant, accept, verify)
        return _download.open_download(self._caller, file, wanted, options, each=True)

    def download(
        self,
        file: FileRef,
        target: str | os.PathLike[str],
        *,
        offset: int = 0,
        length: int | None = None,
        variant: str | None = None,
        accept: str | None = None,
        verify: Verify = "sha256",
        progress: ProgressTarget | None = None,
        timeout: Timeout = None,
        headers: Mapping[str, str] | None = None,
    ) -> Path:
        """Downloads a file, or a range of it, to a path. Returns the path of the file.

        The path gets all bytes after they match their checksums (a whole file its SHA-256), or stays unchanged. A broken
        download resumes. A regular file is replaced and keeps its mode; a symbolic link stays and its target is replaced. A
        directory gets the file under a safe form of its name; an existing file there is TARGET_EXISTS. Named pipes and
        devices are written directly, so the check comes after the bytes. variant, accept, verify: as for `open`.
        """
        options = self._options.call(timeout, headers, transfer=True)
        if not isinstance(target, (str, os.PathLike)):
            raise invalid_option("target must be a path; download_to takes a file object")
        wanted = Range(offset, length, variant, accept, verify)
        _, path = _download.download_to_path(self._caller, file, target, wanted, progress, options)
        return path

    def download_to(
        self,
        file: FileRef,
        target: BinaryIO | Any,
        *,
        offset: int = 0,
        length: int | None = None,
        variant: str | None = None,
        accept: str | None = None,
        verify: Verify = "sha256",
        progress: ProgressTarget | None = None,
        timeout: Timeout = None,
        headers: Mapping[str, str] | None = None,
    ) -> AssetFile:
        """Downloads a file, or a range of it, into a file object, which stays open. A whole file is checked against its
        SHA-256 at the end: do not use the bytes before this returns. variant, accept, verify: as for `open`."""
        options = self._options.call(timeout, headers, transfer=True)
        if not hasattr(target, "write"):
            raise invalid_option("target must be a file object, open for writing bytes")
        wanted = Range(offset, length, variant, accept, verify)
        return _download.download_to_file(self._caller, file, target, wanted, progress, options)

    def download_bytes(
        self,
        file: FileRef,
        *,
        offset: int = 0,
        length: int | None = None,
        variant: str | None = None,
        accept: str | None = None,
        verify: Verify = "sha256",
        max_bytes: int | None = None,
        progress: ProgressTarget | None = None,
        timeout: Timeout = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """Downloads a file, or a range of it, into memory. More than `max_bytes` (64 MiB) is DOWNLOAD_TOO_LARGE.
        variant, accept, verify: as for `open`."""
        options = self._options.call(timeout, headers, transfer=True)
        wanted = Range(offset, length, variant, accept, verify)
        return _download.download_bytes(self._caller, file, wanted, max_bytes, progress, options)

    def url(
        self,
        file: FileRef,
        *,
        ttl: float | timedelta | None = None,
        disposition: Disposition = "attachment",
        download_name: str | None = None,
        variant: str | None = None,
        accept: str | None = None,
        timeout: Timeout = None,
        headers: Mapping[str, str] | None = None,
    ) -> FileUrl:
        """A signed URL for a file. It lives `ttl` seconds, at least half of it; by default 15 minutes.

        variant: name of a rendition of the image in the usage policy. accept: the `Accept` header of the browser, which
        picks the format of the variant.
        """
        request = to_url_request(file, ttl, disposition, download_name, variant, accept)
        return to_url(self._caller.call(methods.GET_FILE_URL, request, self._options.call(timeout, headers)))

    def urls(
        self,
        files: Iterable[FileRef],
        *,
        ttl: float | timedelta | None = None,
        disposition: Disposition = "attachment",
        download_name: str | None = None,
        variant: str | None = None,
        accept: str | None = None,
        timeout: Timeout = None,
        headers: Mapping[str, str] | None = None,
    ) -> Sequence[UrlResult]:
        """The URLs of many files, in their order: each result has a URL or an error."""
        options = self._options.call(timeout, headers)
        def request(each: FileRef) -> pb.GetFileUrlRequest:
            return to_url_request(each, ttl, disposition, download_name, variant, accept)

        return _many.get_urls(self._caller, files, request, options)

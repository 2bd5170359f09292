"""The filesystem `asset://`."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.spec import AbstractFileSystem
from fsspec.utils import isfilelike

from asset_service._sync._client import AssetClient
from asset_service._target import TLS
from asset_service.errors import damaged
from asset_service.fs._content import Content, ReadFile, Wanted, read_many, read_range
from asset_service.fs._errors import as_os_errors
from asset_service.fs._session import SessionOptions, session_of
from asset_service.records import AssetFile
from asset_service.tokens import Token


class AssetFileSystem(AbstractFileSystem):
    """Reads files of the Asset Service by id.

    Bytes come straight from the store by signed URLs, which are renewed before they expire and when the store refuses
    one; through the service where the store does not answer. It is synchronous and can be shared by threads, used after a
    fork and pickled. What is not found is a FileNotFoundError, what is not permitted a PermissionError, any other failure an
    AssetError.
    """

    protocol = "asset"
    root_marker = ""
    async_impl = False

    def __init__(
        self,
        endpoint: str | None = None,
        token: Token | None = None,
        *,
        user_token: Token | None = None,
        tls: TLS | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 30.0,
        transfer_timeout: float = 3600.0,
        allow_tokens_over_http: bool = False,
        client: AssetClient | None = None,
        direct: bool = True,
        url_ttl: float | None = None,
        max_gap: int = 64 * 1024,
        max_block: int = 8 * 2**20,
        concurrency: int = 8,
        **options: Any,
    ) -> None:
        """The options are the `storage_options` of pandas and others.

        endpoint: address of the service; default ASSET_SERVICE_URL.
        token: access token, a function or a source of it; default ASSET_SERVICE_TOKEN, or the file that
            ASSET_SERVICE_TOKEN_FILE names.
        tls: certificates to trust and of this client; default ASSET_SERVICE_TLS_CA, _CERT and _KEY, which are paths.
        user_token, headers, timeout, transfer_timeout, allow_tokens_over_http: as for AssetClient.
        client: a client to use, in place of all options before.
        direct: False reads all bytes through the service.
        url_ttl: lifetime of signed URLs in seconds.
        max_gap, max_block: ranges of one file that are at most `max_gap` bytes apart are read together, up to `max_block`.
        concurrency: how many requests `cat`, `cat_ranges` make at the same time.
        """
        super().__init__(**options)
        self._session = session_of(
            SessionOptions(
                endpoint,
                token,
                user_token,
                tls,
                headers,
                timeout,
                transfer_timeout,
                allow_tokens_over_http,
                client,
                direct,
                url_ttl,
            )
        )
        self._max_gap, self._max_block, self._concurrency = max_gap, max_block, concurrency

    @property
    def client(self) -> AssetClient:
        """The client that makes the calls."""
        return self._session.client

    @classmethod
    def _plain(cls, path: str) -> str:
        """A path without `asset://`."""
        plain: Any = cls._strip_protocol(path)
        return str(plain)

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        """Size, type and record of a file."""
        path = self._plain(path)
        with as_os_errors(path):
            return _info_of(path, self._session.record(path))

    def ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        """The file itself: ids have no directories."""
        path = self._plain(path)
        if path == "":
            raise NotImplementedError("files are not listed by paths: AssetClient.list finds them by conditions")
        found = [self.info(path)]
        return found if detail else [each["name"] for each in found]

    def exists(self, path: str, **options: Any) -> bool:
        """Whether there is a file. Raises if that cannot be told."""
        try:
            self.info(path)
        except FileNotFoundError:
            return False
        return True

    def created(self, path: str) -> datetime | None:
        """When the file was created."""
        found: datetime | None = self.info(path)["created"]
        return found

    def modified(self, path: str) -> datetime | None:
        """When the bytes were last changed: never after the file was created."""
        return self.created(path)

    def checksum(self, path: str) -> int:
        """A number that is another one for other bytes."""
        return int(self.ukey(path)[:16], 16)

    def ukey(self, path: str) -> str:
        """The SHA-256 of the bytes, or what stands for it in a file of the old system."""
        info = self.info(path)
        found: str = info["sha256"] or hashlib.sha256(f"{info['id']} {info['size']}".encode()).hexdigest()
        return found

    def sign(self, path: str, expiration: int = 900, **options: Any) -> str:
        """A URL that anybody can read the file with until it expires."""
        path = self._plain(path)
        with as_os_errors(path):
            return self.client.url(self._content(path).file_id, ttl=expiration).url

    def invalidate_cache(self, path: str | None = None) -> None:
        """Reads records again."""
        self._session.forget()

    def _content(self, path: str) -> Content:
        with as_os_errors(path):
            file = self._session.record(path)
            return Content(file.id, file.size_bytes, file.sha256)

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: dict[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        if mode != "rb":
            raise PermissionError(30, "the bytes of a file never change: upload a new one", path)
        options |= {"block_size": block_size, "cache_options": cache_options}
        return ReadFile(self, path, self._content(path), self._session.reader, **options)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **options: Any) -> bytes:
        """The bytes of a file, or a range of it."""
        path = self._plain(path)
        content = self._content(path)
        with as_os_errors(path):
            return read_range(self._session.reader, content, *content.cut(start, end))

    def cat(self, path: Any, recursive: bool = False, on_error: str = "raise", **options: Any) -> Any:
        """The bytes of one file, or of many by path."""
        if isinstance(path, str) and not recursive and "*" not in path:
            return self.cat_file(path, **options)
        paths = self.expand_path(path, recursive=recursive)
        paths = [each for each in paths if not self.isdir(each)] if recursive else paths
        start, end = options.get("start"), options.get("end")
        found = self.cat_ranges(paths, [start] * len(paths), [end] * len(paths), on_error="return")
        if on_error == "raise":
            for each in found:
                if isinstance(each, Exception):
                    raise each
        omit = on_error == "omit"
        return {name: each for name, each in zip(paths, found) if not (omit and isinstance(each, Exception))}

    def cat_ranges(
        self,
        paths: list[str],
        starts: Any,
        ends: Any,
        max_gap: int | None = None,
        on_error: str = "return",
        **options: Any,
    ) -> list[Any]:
        """Many ranges, read by few requests at the same time. A failure is raised, or with "return" stands in the list."""
        starts = starts if isinstance(starts, list) else [starts] * len(paths)
        ends = ends if isinstance(ends, list) else [ends] * len(paths)
        if len(starts) != len(paths) or len(ends) != len(paths):
            raise ValueError("paths, starts and ends must have the same length")
        names = [self._plain(path) for path in paths]
        self._prefetch(names)
        results: dict[int, Any] = {}
        wanted: list[Wanted] = []
        for index, (name, start, end) in enumerate(zip(names, starts, ends)):
            try:
                content = self._content(name)
            except Exception as error:
                results[index] = error
                continue
            first, last = content.cut(start, end)
            wanted.append(Wanted(index, name, content, first, last))
        gap = self._max_gap if max_gap is None else max_gap
        results |= read_many(
            self._session.reader, wanted, max_gap=gap, max_block=self._max_block, concurrency=self._concurrency
        )
        found = [results[index] for index in range(len(names))]
        if on_error == "raise":
            for each in found:
                if isinstance(each, Exception):
                    raise each
        return found

    def _prefetch(self, names: list[str]) -> None:
        self._session.prefetch(names)

    def get_file(
        self, rpath: str, lpath: Any = None, callback: Any = DEFAULT_CALLBACK, outfile: Any = None, **options: Any
    ) -> None:
        """Copies a file to a local path, which gets all bytes after they match their SHA-256, or stays as it is."""
        if outfile is not None or isfilelike(lpath) or self.isdir(rpath):
            super().get_file(rpath, lpath, callback=callback, outfile=outfile, **options)
            return
        path = self._plain(rpath)
        content = self._content(path)
        target = Path(os.fspath(lpath))
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name[:100]}.{uuid.uuid4().hex}.part")
        sha256 = hashlib.sha256()
        callback.set_size(content.size)
        try:
            with open(part, "xb") as file, as_os_errors(path):
                for start in range(0, content.size, self._max_block):
                    piece = self._session.reader.read(
                        content.file_id, start, min(start + self._max_block, content.size)
                    )
                    sha256.update(piece)
                    file.write(piece)
                    callback.relative_update(len(piece))
            if content.sha256 not in (None, sha256.hexdigest()):
                raise damaged(content.file_id, "the downloaded file does not have its SHA-256")
            os.replace(part, target)
        finally:
            part.unlink(missing_ok=True)


def _info_of(path: str, file: AssetFile) -> dict[str, Any]:
    return {
        "name": path,
        "type": "file",
        "size": file.size_bytes,
        "id": file.id,
        "sha256": file.sha256,
        "file_name": file.name,
        "content_type": file.content_type,
        "owner": file.owner,
        "usage": file.usage,
        "etag": file.etag,
        "created": file.create_time,
        "mtime": file.create_time.timestamp() if file.create_time is not None else None,
    }

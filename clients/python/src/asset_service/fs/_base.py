"""What a path is, and what is there."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fsspec.spec import AbstractFileSystem

from asset_service._sync._client import AssetClient
from asset_service._target import TLS
from asset_service.datasets._draft import drafts_directory
from asset_service.datasets._manifest import Entry
from asset_service.fs._content import Content
from asset_service.fs._errors import as_os_errors
from asset_service.fs._session import SessionOptions, session_of
from asset_service.fs._trees import Trees, place_of
from asset_service.fs._write import DraftWriter
from asset_service.records import AssetFile
from asset_service.tokens import Token


class BaseFileSystem(AbstractFileSystem):
    """The options of a filesystem, and what its paths name."""

    protocol = "asset"
    root_marker = ""
    async_impl = False
    # fsspec compares options by their texts, and two clients or sources of tokens may have the same. Filesystems with equal
    # options share what is worth sharing anyway.
    cachable = False

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
        drafts: str | os.PathLike[str] | None = None,
        usage: str | None = None,
        owner: str | None = None,
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
        drafts: directory of the drafts; default ASSET_DATASET_DRAFTS, or one in the user's data directory.
        usage, owner: of the files that are written into drafts.
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
        self._trees = Trees(self._session, drafts_directory(drafts))
        self._writer = DraftWriter(self._session, usage, owner)
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
        """Size and type; for a file by its id also its record."""
        path = self._plain(path)
        place = place_of(path)
        with as_os_errors(path):
            if not place.is_dataset:
                if place.rest:
                    raise missing(path)
                return _info_of(path, self._session.record(place.head))
            tree = self._trees.tree(place)
            entry = tree.entry(place.rest) if place.rest else None
            if entry is not None:
                return _info_of_entry(path, entry)
            if tree.children(place.rest) is None:
                raise missing(path)
            return {"name": path, "size": 0, "type": "directory"}

    def ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        """What is in a folder of a dataset; the versions of all datasets if the path is empty. Ids are not listed."""
        path = self._plain(path)
        with as_os_errors(path):
            found = [
                {"name": f"{name}@{version}", "size": 0, "type": "directory"} for name, version in self._names(path)
            ]
        if path != "":
            found = self._list(path)
        return found if detail else [each["name"] for each in found]

    def _names(self, path: str) -> list[tuple[str, str]]:
        return self._trees.datasets.versions() if path == "" else []

    def _list(self, path: str) -> list[dict[str, Any]]:
        place = place_of(path)
        info = self.info(path)
        if info["type"] == "file":
            return [info]
        with as_os_errors(path):
            children = self._trees.tree(place).children(place.rest) or {}
        found: list[dict[str, Any]] = []
        for name, entry in children.items():
            full = f"{path}/{name}"
            folder = {"name": full, "size": 0, "type": "directory"}
            found.append(folder if entry is None else _info_of_entry(full, entry))
        return found

    def exists(self, path: str, **options: Any) -> bool:
        """Whether there is a file. Raises if that cannot be told."""
        try:
            self.info(path)
        except FileNotFoundError:
            return False
        return True

    def isdir(self, path: str) -> bool:
        """Whether it is a folder of a dataset. Raises if that cannot be told."""
        try:
            return bool(self.info(path)["type"] == "directory")
        except FileNotFoundError:
            return False

    def isfile(self, path: str) -> bool:
        """Whether it is a file. Raises if that cannot be told."""
        try:
            return bool(self.info(path)["type"] == "file")
        except FileNotFoundError:
            return False

    def created(self, path: str) -> datetime | None:
        """When the file was created."""
        content = self._content(self._plain(path))
        with as_os_errors(path):
            return self._session.record(content.file_id).create_time

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
        """Reads records and versions again. A draft is never cached."""
        if path is None or self._trees.draft(place_of(self._plain(path))) is None:
            self._session.forget()
            self._trees.forget()

    def _content(self, path: str) -> Content:
        place = place_of(path)
        with as_os_errors(path):
            if not place.is_dataset and not place.rest:
                file = self._session.record(place.head)
                return Content(file.id, file.size_bytes, file.sha256)
            tree = self._trees.tree(place) if place.is_dataset else None
            entry = tree.entry(place.rest) if tree is not None and place.rest else None
            if entry is not None:
                return Content(entry.id, entry.size, entry.sha256)
            if tree is not None and tree.children(place.rest) is not None:
                raise IsADirectoryError(21, "it is a folder", path)
            raise missing(path)


def missing(path: str) -> FileNotFoundError:
    """The error for a path with nothing there."""
    return FileNotFoundError(2, "there is no such file", path)


def _info_of_entry(path: str, entry: Entry) -> dict[str, Any]:
    return {"name": path, "type": "file", "size": entry.size, "id": entry.id, "sha256": entry.sha256}


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

"""What all filesystems of a process with the same options share: a client, URLs and records."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from asset_service._sync._client import AssetClient
from asset_service._target import TLS
from asset_service.datasets._manifest import Manifest
from asset_service.errors import invalid_option, make_error
from asset_service.fs._reader import StoreReader
from asset_service.records import AssetFile
from asset_service.tokens import EnvironmentToken, Token

_MAX_RECORDS = 10_000
_RECORD_SECONDS = 60.0
"""How long a record may be used again. The bytes of a file never change; that it was deleted is noticed so late."""


@dataclass(frozen=True)
class SessionOptions:
    """How to reach the service and the store."""

    endpoint: str | None = None
    token: Token | None = None
    user_token: Token | None = None
    tls: TLS | None = None
    headers: Mapping[str, str] | None = None
    timeout: float = 30.0
    transfer_timeout: float = 3600.0
    allow_tokens_over_http: bool = False
    client: AssetClient | None = None
    direct: bool = True
    """Whether to read from the store by signed URLs; False for all bytes through the service."""
    url_ttl: float | None = None
    """Lifetime of the URLs in seconds; None for the usage's default."""

    def connect(self) -> AssetClient:
        """A client. Raises OPTION_INVALID."""
        if self.client is not None:
            return self.client
        endpoint = self.endpoint or os.environ.get("ASSET_SERVICE_URL")
        if not endpoint:
            raise invalid_option(
                "give the storage option `endpoint`, or set ASSET_SERVICE_URL to the address of the service"
            )
        return AssetClient(
            endpoint,
            token=_token_of_environment() if self.token is None else self.token,
            user_token=self.user_token,
            tls=_tls_of_environment() if self.tls is None else self.tls,
            headers=self.headers,
            timeout=self.timeout,
            transfer_timeout=self.transfer_timeout,
            allow_tokens_over_http=self.allow_tokens_over_http,
        )


def _token_of_environment() -> EnvironmentToken | None:
    names = ("ASSET_SERVICE_TOKEN", "ASSET_SERVICE_TOKEN_FILE")
    return EnvironmentToken() if any(os.environ.get(name) for name in names) else None


def _tls_of_environment() -> TLS | None:
    names = {name: os.environ.get(f"ASSET_SERVICE_TLS_{name.upper()}") or None for name in ("ca", "cert", "key")}
    return TLS(**names) if any(names.values()) else None


class Session:
    """A client and a reader, with the records that were read last."""

    def __init__(self, options: SessionOptions) -> None:
        self.client = options.connect()
        self.reader = StoreReader(self.client, direct=options.direct, url_ttl=options.url_ttl)
        self.versions: dict[str, tuple[float, Manifest]] = {}
        """Versions of datasets by `DATASET@VERSION`, each with the time until which it may be used."""
        self._records: OrderedDict[str, tuple[float, AssetFile]] = OrderedDict()
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def record(self, file_id: str) -> AssetFile:
        """The record of a file that is not deleted. Raises FILE_NOT_FOUND, FILE_DELETED."""
        known = self.known(file_id)
        if known is not None:
            return known
        file = self.client.get(file_id)
        if file.delete_time is not None:
            message = f"the file {file_id} is deleted"
            raise make_error("NOT_FOUND", message, reason="FILE_DELETED", metadata={"file_id": file_id})
        self._keep([file])
        return file

    def known(self, file_id: str) -> AssetFile | None:
        """The record of a file, if it was read a moment ago."""
        with self._guard():
            found = self._records.get(file_id)
            return found[1] if found is not None and found[0] > time.monotonic() else None

    def prefetch(self, file_ids: Iterable[str]) -> None:
        """Reads many records in few calls. What cannot be read fails when it is used."""
        unknown = [each for each in dict.fromkeys(file_ids) if self.known(each) is None]
        if len(unknown) > 1:
            found = [result.file for result in self.client.get_many(unknown)]
            self._keep([file for file in found if file is not None and file.delete_time is None])

    def forget(self, file_id: str | None = None) -> None:
        """Reads a record, or all, again when it is used next."""
        with self._guard():
            if file_id is None:
                self._records.clear()
            else:
                self._records.pop(file_id, None)

    def _keep(self, files: list[AssetFile]) -> None:
        end = time.monotonic() + _RECORD_SECONDS
        with self._guard():
            for file in files:
                self._records[file.id] = (end, file)
            while len(self._records) > _MAX_RECORDS:
                self._records.popitem(last=False)

    def _guard(self) -> threading.Lock:
        if self._pid != os.getpid():
            # The thread that held the lock is not in this process.
            self._lock, self._pid = threading.Lock(), os.getpid()
        return self._lock


_VARIABLES = ("ASSET_SERVICE_URL", "ASSET_SERVICE_TLS_CA", "ASSET_SERVICE_TLS_CERT", "ASSET_SERVICE_TLS_KEY")

_shared: dict[Any, Session] = {}
_sharing = threading.Lock()


def _after_fork() -> None:
    global _sharing
    _sharing = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def session_of(options: SessionOptions) -> Session:
    """The session for these options, so that the filesystems of a process share a connection. That of a given client lives as
    long as the client."""
    environment = (_token_of_environment() is None, *(os.environ.get(name) for name in _VARIABLES))
    shared = _shared if options.client is None else options.client.__dict__.setdefault("_sessions", {})
    try:
        key = options, environment
        hash(key)
    except TypeError:
        return Session(options)
    with _sharing:
        found: Session | None = shared.get(key)
        if found is None:
            found = shared[key] = Session(options)
        return found

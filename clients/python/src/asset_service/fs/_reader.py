"""Reads ranges of files: straight from the store by signed URLs, or through the service."""

from __future__ import annotations

import os
import threading
import time
import urllib.request
import weakref
from collections import OrderedDict
from collections.abc import Iterable
from datetime import UTC, datetime
from urllib.parse import urlsplit

import urllib3

from asset_service._sync._client import AssetClient
from asset_service.errors import AssetError
from asset_service.records import FileUrl

_MAX_URLS = 10_000
_PAUSE_SECONDS = 10.0
"""How long reads go through the service after the store could not be reached."""
_MARGIN_SECONDS = 30.0
"""How long before its expiry a URL is renewed; at most a fifth of its lifetime."""
_CONNECTIONS = 32
_TIMEOUT = urllib3.Timeout(connect=5, read=30)


class StoreReader:
    """Reads ranges. Falls back to the service where the store does not answer as it should; the service tells why."""

    def __init__(self, client: AssetClient, *, direct: bool, url_ttl: float | None) -> None:
        self._client = client
        self._direct = direct
        self._ttl = url_ttl
        self.direct_reads = self.service_reads = 0
        """How many ranges were read in either way."""
        self._reset()
        _readers.add(self)

    def _reset(self) -> None:
        self._urls: OrderedDict[str, tuple[float, FileUrl]] = OrderedDict()
        self._lock = threading.Lock()
        self._pools: dict[str, urllib3.PoolManager] = {}
        self._paused_until = 0.0

    def read(self, file_id: str, start: int, end: int) -> bytes:
        """The bytes from `start` to before `end`, which the file must have."""
        if end <= start:
            return b""
        if self._direct and time.monotonic() >= self._paused_until:
            content = self._from_store(file_id, start, end)
            if content is not None:
                self.direct_reads += 1
                return content
        return self.read_through_service(file_id, start, end)

    def read_through_service(self, file_id: str, start: int, end: int) -> bytes:
        """The same through the service, which waits for a store that is down."""
        self.service_reads += 1
        return self._client.download_bytes(file_id, offset=start, length=end - start, max_bytes=end - start)

    def prefetch(self, file_ids: Iterable[str]) -> None:
        """Gets the URLs of many files in few calls. One that cannot be had fails when it is used."""
        unknown = [each for each in dict.fromkeys(file_ids) if self._known(each) is None]
        if self._direct and len(unknown) > 1:
            for each in self._client.urls(unknown, ttl=self._ttl):
                if each.url is not None and isinstance(each.ref, str):
                    self._keep(each.ref, each.url)

    def url(self, file_id: str, refused: str | None = None) -> str:
        """A URL of a file that lives on for a while, and is not the one that the store refused."""
        known = self._known(file_id)
        if known is not None and known != refused:
            return known
        return self._keep(file_id, self._client.url(file_id, ttl=self._ttl))

    def _known(self, file_id: str) -> str | None:
        with self._lock:
            found = self._urls.get(file_id)
            return found[1].url if found is not None and time.monotonic() < found[0] else None

    def _keep(self, file_id: str, url: FileUrl) -> str:
        lifetime = 0.0
        if url.expire_time is not None:
            lifetime = (url.expire_time - datetime.now(UTC)).total_seconds()
        renew_at = time.monotonic() + lifetime - min(_MARGIN_SECONDS, lifetime / 5)
        with self._lock:
            self._urls[file_id] = (renew_at, url)
            self._urls.move_to_end(file_id)
            while len(self._urls) > _MAX_URLS:
                self._urls.popitem(last=False)
        return url.url

    def _from_store(self, file_id: str, start: int, end: int) -> bytes | None:
        """The bytes; None if the store did not give them. Asks a second time after a refused URL or a lost connection."""
        refused: str | None = None
        for _ in range(2):
            try:
                url = self.url(file_id, refused)
            except AssetError as error:
                if error.code in ("NOT_FOUND", "PERMISSION_DENIED", "UNAUTHENTICATED"):
                    raise
                # Such as a file of the old system without a URL; a download says what is wrong.
                return None
            try:
                status, content = self._get(url, start, end)
            except (urllib3.exceptions.HTTPError, OSError):
                continue
            if content is not None:
                return content
            if status not in (401, 403):
                break
            refused = url
        self._paused_until = time.monotonic() + _PAUSE_SECONDS
        return None

    def _get(self, url: str, start: int, end: int) -> tuple[int, bytes | None]:
        length = end - start
        response = self._pool(url).request(
            "GET",
            url,
            headers={"range": f"bytes={start}-{end - 1}", "accept-encoding": "identity"},
            retries=False,
            redirect=False,
            timeout=_TIMEOUT,
            preload_content=False,
        )
        try:
            # A server that ignores ranges would send all of a large file.
            fits = response.headers.get("content-length") == str(length)
            ranged = response.status == 206 and response.headers.get("content-range", "").startswith(f"bytes {start}-")
            if not fits or not (ranged or (response.status == 200 and start == 0)):
                response.close()
                return response.status, None
            content = response.read(length, decode_content=False)
            return response.status, content if len(content) == length else None
        finally:
            response.release_conn()

    def _pool(self, url: str) -> urllib3.PoolManager:
        parts = urlsplit(url)
        proxy = urllib.request.getproxies().get(parts.scheme, "")
        if proxy and urllib.request.proxy_bypass(parts.netloc):
            proxy = ""
        with self._lock:
            found = self._pools.get(proxy)
            if found is None:
                made = (
                    urllib3.ProxyManager(proxy, maxsize=_CONNECTIONS)
                    if proxy
                    else urllib3.PoolManager(maxsize=_CONNECTIONS)
                )
                found = self._pools[proxy] = made
            return found

    def after_fork(self) -> None:
        """Forgets the connections of the parent process, and a lock that a thread of it may hold."""
        _abandoned.append(self._pools)
        self._reset()


_readers: weakref.WeakSet[StoreReader] = weakref.WeakSet()
_abandoned: list[object] = []
"""Connections of another process: to close them would end its TLS sessions."""


def _after_fork() -> None:
    for reader in list(_readers):
        reader.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

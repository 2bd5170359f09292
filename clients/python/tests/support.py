"""Helpers of the tests: the service as a process, a proxy that can cut connections, waiting for conditions."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import selectors
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from asset_service import AsyncAssetClient, AsyncDownload

REPOSITORY = Path(__file__).resolve().parents[3]
MiB = 1024 * 1024

# The service takes the place of this shell. A second one stays beside it and reads from a pipe of this process: when this
# process ends in whatever way, the pipe closes, and the service is killed.
_GUARD = 'exec 3<&0; ( cat <&3 >/dev/null; kill -9 $$ ) >/dev/null 2>&1 & exec 3<&- </dev/null; exec "$@"'


def node() -> list[str]:
    """The command line of the Node.js of the repository, up to the program."""
    local = REPOSITORY / "node_modules" / ".bin" / "node"
    program = os.environ.get("ASSET_TEST_NODE") or (str(local) if local.exists() else shutil.which("node") or "node")
    return [program, *json.loads((REPOSITORY / "bin" / "flags.json").read_text()), str(REPOSITORY / "src" / "main.ts")]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def eventually(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Waits for a condition."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        time.sleep(0.02)


class Service:
    """`asset-service serve` as a process. It keeps its address and its data when it is started again."""

    def __init__(self, env: dict[str, str] | None = None, scheme: str = "http") -> None:
        self.dir = Path(tempfile.mkdtemp(prefix="asset-python-"))
        self.port = free_port()
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self.env = {"ASSET_DATA_DIR": str(self.dir / "data"), "ASSET_DRAIN_TIMEOUT": "0.2", **(env or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Service:
        """Starts it and waits until it serves, or with certificates of clients until it listens."""
        with open(self.dir / "server.log", "ab") as log:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _GUARD, "guard", *node(), "serve"],
                cwd=self.dir,
                env={**os.environ, **self.env, "ASSET_LISTEN": f"127.0.0.1:{self.port}"},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )
        eventually(self._is_ready)
        return self

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.dir / "server.log").read_text()
        if self.url.startswith("https"):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return True
            return False
        request = urllib.request.Request(
            f"{self.url}/grpc.health.v1.Health/Check", b"{}", {"content-type": "application/json"}
        )
        with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=5) as answer:
            return bool(json.load(answer).get("status") == "SERVING")
        return False

    def kill(self) -> None:
        """Kills it at once, as a crash would."""
        assert self._process is not None
        self._process.kill()
        self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.wait()
            assert process.stdin is not None
            process.stdin.close()

    def dispose(self) -> None:
        """Ends it and removes its data."""
        if self._process is not None:
            self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)

    def cli(self, *arguments: str) -> str:
        """The output of the command line with the settings of this service."""
        env = {**os.environ, **self.env}
        return subprocess.run(
            [*node(), *arguments], cwd=self.dir, env=env, check=True, capture_output=True, text=True
        ).stdout


class Proxy:
    """A TCP proxy that can cut all connections, at once or after a number of bytes, and refuse new ones."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.down = False
        self.cut_after: int | None = None
        """Cuts once when a connection has brought so many bytes to the client."""
        self.lose_answer = False
        """Cuts once in place of bringing an answer, which is longer than the control frames of HTTP/2."""
        self.cuts = 0
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.down:
                client.close()
                continue
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self._target))
        except OSError:
            client.close()
            return
        pair = (client, server)
        self._pairs.add(pair)
        brought = 0
        with selectors.DefaultSelector() as ready, contextlib.suppress(OSError, ValueError):
            ready.register(client, selectors.EVENT_READ, server)
            ready.register(server, selectors.EVENT_READ, client)
            while True:
                for key, _ in ready.select():
                    source: Any = key.fileobj
                    piece = source.recv(65536)
                    if not piece:
                        raise OSError
                    if source is server and self.lose_answer and len(piece) > 100:
                        self.lose_answer = False
                        self.cuts += 1
                        raise OSError
                    key.data.sendall(piece)
                    if source is server:
                        brought += len(piece)
                        if self.cut_after is not None and brought >= self.cut_after:
                            self.cut_after = None
                            self.cuts += 1
                            raise OSError
        self._pairs.discard(pair)
        for each in pair:
            _reset(each)

    def cut(self) -> None:
        """Cuts every connection."""
        self.cuts += 1
        for pair in list(self._pairs):
            for each in pair:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Ends it."""
        self._closed = self.down = True
        self._listener.close()
        self.cut()


def _reset(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()


class AsyncDriver:
    """An asyncio client with the methods of the synchronous one, so that one test covers both."""

    def __init__(self, client: AsyncAssetClient) -> None:
        self._client = client
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Any) -> Any:
        """Runs a coroutine in the loop of this client."""

        async def wait() -> Any:
            return await work

        return asyncio.run_coroutine_threadsafe(wait(), self._loop).result()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(*arguments: Any, **options: Any) -> Any:
            result = method(*arguments, **options)
            if name in ("list", "watch"):
                return self._iterate(result)
            if name == "for_user":
                return _Shared(result, self)
            result = self.run(result)
            return _Opened(result, self) if isinstance(result, AsyncDownload) else result

        return call

    def _iterate(self, items: Any) -> Iterator[Any]:
        end = object()
        while (item := self.run(anext(items, end))) is not end:
            yield item

    def close(self) -> None:
        """Closes the client and its loop, with everything that still runs in it."""
        if self._loop.is_closed():
            return
        self.run(self._client.close())
        left = self.run(_others())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        assert not left, left


async def _others() -> list[Any]:
    """The tasks that are still there a moment later."""
    left: list[Any] = []
    for _ in range(100):
        left = [each for each in asyncio.all_tasks() if each is not asyncio.current_task()]
        if not left:
            break
        await asyncio.sleep(0.02)
    return left


class _Shared(AsyncDriver):
    def __init__(self, client: AsyncAssetClient, driver: AsyncDriver) -> None:
        self._client, self._loop = client, driver._loop


class _Opened:
    def __init__(self, download: AsyncDownload, driver: AsyncDriver) -> None:
        self._download, self._driver = download, driver
        self.file = download.file

    def __iter__(self) -> Iterator[Any]:
        return self._driver._iterate(self._download)

    def read(self) -> Any:
        return self._driver.run(self._download.read())

    def __enter__(self) -> _Opened:
        return self

    def __exit__(self, *details: object) -> None:
        self._driver.run(self._download.aclose())

"""Tokens, end users, certificates."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from support import Service

from asset_service import (
    TLS,
    AssetClient,
    AssetError,
    CachedToken,
    ClientCredentials,
    IssuedToken,
    PermissionDeniedError,
    RetryPolicy,
    UnauthenticatedError,
    UnavailableError,
)


@pytest.fixture(scope="module")
def guarded() -> Iterator[Service]:
    """A service that wants tokens."""
    made = Service()
    settings = made.cli("dev-token", "--settings")
    (made.dir / "dev.env").write_text(settings)
    made.env["ASSET_CONFIG_FILE"] = str(made.dir / "dev.env")
    yield made.start()
    made.dispose()


@pytest.fixture(scope="module")
def tokens(guarded: Service) -> dict[str, str]:
    """The tokens of two persons."""
    names = ("ann", "bob")
    with ThreadPoolExecutor(2) as pool:
        made = pool.map(lambda name: guarded.cli("dev-token", "--sub", name).strip(), names)
    return dict(zip(names, made, strict=True))


def test_a_file_of_somebody_else_is_refused(
    connect: Any, guarded: Service, tokens: dict[str, str], tmp_path: Path
) -> None:
    ann = connect(guarded.url, token=tokens["ann"])
    bob = connect(guarded.url, token=lambda: tokens["bob"])
    file = ann.upload(b"secret", name="secret.txt")
    assert file.owner == "ann"
    target = tmp_path / "copy"
    calls: list[Callable[[], object]] = [
        lambda: bob.get(file.id),
        lambda: bob.download_bytes(file.id),
        lambda: bob.download(file.id, target),
        lambda: bob.url(file.id),
        lambda: bob.update(file.id, name="mine"),
        lambda: bob.delete(file.id),
        lambda: bob.get("000000000000000"),
        lambda: bob.upload(b"x", owner="ann"),
    ]
    for call in calls:
        with pytest.raises(PermissionDeniedError) as caught:
            call()
        assert caught.value.reason == "PERMISSION_DENIED"
    assert not target.exists()
    assert [result.error.code for result in bob.urls([file.id])] == ["PERMISSION_DENIED"]
    assert [file.id for file in bob.list()] == []
    assert bob.get_many([file.id])[0].error.reason == "FILE_NOT_FOUND"
    assert ann.download_bytes(file.id) == b"secret"


def test_a_refused_token_is_replaced_once(connect: Any, guarded: Service, tokens: dict[str, str]) -> None:
    for token, reason in ((None, "CREDENTIALS_MISSING"), ("", "CREDENTIALS_MISSING"), ("x.y.z", "CREDENTIALS_INVALID")):
        with pytest.raises(UnauthenticatedError) as caught:
            connect(guarded.url, token=token).list_page()
        assert caught.value.reason == reason
    asked: list[str | None] = []

    class Source:
        def get(self, refused: str | None = None) -> str:
            asked.append(refused)
            return tokens["ann"] if refused else "expired"

    client = connect(guarded.url, token=Source())
    with pytest.raises(UnauthenticatedError):
        # This source forgets: the second try is refused as well, and there is no third.
        client.list_page()
    assert asked == [None, "expired", None, "expired"]

    given = iter(["expired", tokens["ann"], tokens["ann"]])
    assert connect(guarded.url, token=lambda: next(given)).upload(b"x" * 100).owner == "ann"
    for wrong in ("two words", "ä", "line\n"):
        with pytest.raises(UnauthenticatedError) as caught:
            connect(guarded.url, token=lambda: wrong).list_page()  # noqa: B023
        assert caught.value.reason == "TOKEN_UNAVAILABLE"
        assert wrong not in str(caught.value)


def test_an_asynchronous_function_gives_tokens(guarded: Service, tokens: dict[str, str]) -> None:
    import asyncio

    from asset_service import AsyncAssetClient

    async def token() -> str:
        await asyncio.sleep(0)
        return tokens["ann"]

    async def main() -> None:
        async with AsyncAssetClient(guarded.url, token=token) as client:
            assert (await client.upload(b"x")).owner == "ann"

    asyncio.run(main())
    with AssetClient(guarded.url, token=token) as client, pytest.raises(AssetError) as caught:
        client.list_page()
    assert caught.value.reason == "OPTION_INVALID"


def test_an_end_user_is_sent_and_not_allowed_for_a_person(
    connect: Any, guarded: Service, tokens: dict[str, str]
) -> None:
    client = connect(guarded.url, token=tokens["ann"])
    with pytest.raises(PermissionDeniedError) as caught:
        client.for_user(tokens["bob"]).list_page()
    assert caught.value.reason == "END_USER_NOT_ALLOWED"
    with pytest.raises(UnauthenticatedError):
        client.for_user("").list_page()
    assert client.list_page().files is not None


class Issuer:
    """A token endpoint."""

    def __init__(self, token: str) -> None:
        self.answer: tuple[int, Any] = (200, {"access_token": token, "expires_in": 300})
        self.requests: list[tuple[str, dict[str, list[str]]]] = []
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                issuer.requests.append((self.headers["authorization"], parse_qs(body)))
                status, answer = issuer.answer
                self.send_response(status)
                if status == 302:
                    self.send_header("location", "http://127.0.0.1:9/")
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/token"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def test_client_credentials_are_cached_and_renewed(connect: Any, guarded: Service, tokens: dict[str, str]) -> None:
    issuer = Issuer(tokens["ann"])
    try:
        source = ClientCredentials(issuer.url, "a client", "s€cret", scope="files")
        client = connect(guarded.url, token=source, retry=RetryPolicy(retries=0))
        for _ in range(3):
            client.list_page()
        assert issuer.requests == [
            ("Basic YStjbGllbnQ6cyVFMiU4MiVBQ2NyZXQ=", {"grant_type": ["client_credentials"], "scope": ["files"]})
        ]
        # A token that the service refuses is replaced.
        issuer.answer = (200, {"access_token": "wrong", "expires_in": 300})
        fresh = ClientCredentials(issuer.url, "a", "b")
        assert fresh.get() == "wrong"
        issuer.answer = (200, {"access_token": tokens["ann"], "expires_in": 300})
        connect(guarded.url, token=fresh).list_page()
        for answer, kind, said in (
            ((401, {"error": "invalid_client"}), UnauthenticatedError, "invalid_client"),
            ((503, {}), UnavailableError, "HTTP 503"),
            ((302, {}), UnauthenticatedError, "HTTP 302"),
            ((200, ["what"]), UnauthenticatedError, "HTTP 200"),
        ):
            issuer.answer = answer
            with pytest.raises(kind, match=said):
                connect(
                    guarded.url, token=ClientCredentials(issuer.url, "a", "b"), retry=RetryPolicy(retries=0)
                ).list_page()
    finally:
        issuer.server.shutdown()
        issuer.server.server_close()
    with pytest.raises(UnavailableError):
        ClientCredentials(issuer.url, "a", "b").get()


def test_a_cached_token_is_issued_once_for_all_threads() -> None:
    issued: list[int] = []
    lives = [0.0, 3600.0]
    gate = threading.Event()

    def issue() -> IssuedToken:
        gate.wait()
        issued.append(1)
        return IssuedToken(f"token{len(issued)}", lives[min(len(issued), 2) - 1])

    source = CachedToken(issue)
    gate.set()
    assert source.get() == "token1"
    gate.clear()
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(source.get) for _ in range(8)]
        gate.set()
        assert {each.result() for each in waiting} == {"token2"}
    assert source.get("token2") == "token3"


def test_tokens_are_not_sent_in_the_clear() -> None:
    options: dict[str, Any]
    for options in ({"token": "t"}, {"user_token": "t"}, {"token": lambda: "t"}):
        for target in ("http://assets.example", "assets.example:80", "dns:assets.example"):
            with pytest.raises(AssetError) as caught:
                AssetClient(target, **options)
            assert caught.value.reason == "TOKEN_NOT_PROTECTED"
            AssetClient(target, allow_tokens_over_http=True, **options).close()
    AssetClient("https://assets.example", token="t").close()
    AssetClient("http://assets.example", token="").close()
    for local in ("http://localhost:1", "127.0.0.1:1", "[::1]:1", "unix:/tmp/x", "http://127.9.9.9"):
        AssetClient(local, token="t").close()
    with pytest.raises(AssetError):
        ClientCredentials("http://issuer.example/token", "a", "b")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of an authority, a server and a client, and those of a stranger."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for name in ("authority", "stranger"):
        openssl("req", "-x509", *key, "-days", "2", "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}",
                "-addext", "basicConstraints=critical,CA:TRUE")  # fmt: skip
    for name in ("server", "worker"):
        openssl("req", "-new", *key, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        (folder / "ext").write_text("subjectAltName = IP:127.0.0.1\n")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "authority.pem", "-CAkey", "authority.key", "-CAcreateserial",
                "-extfile", "ext", "-out", f"{name}.pem", "-days", "2")  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def secured(certificates: Path) -> Iterator[Service]:
    """A service that wants certificates of clients."""
    made = Service(
        {
            "ASSET_AUTH": "mtls",
            "ASSET_TLS_CERT": str(certificates / "server.pem"),
            "ASSET_TLS_KEY": str(certificates / "server.key"),
            "ASSET_TLS_CLIENT_CA": str(certificates / "authority.pem"),
            "ASSET_MTLS_PRINCIPALS": '{"CN:worker":{"id":"worker","roles":["asset:read","asset:write"]}}',
        },
        scheme="https",
    )
    yield made.start()
    made.dispose()


def test_certificates_identify_both_ends(connect: Any, secured: Service, certificates: Path) -> None:
    ca, cert, key = (certificates / name for name in ("authority.pem", "worker.pem", "worker.key"))
    for tls in (TLS(ca, cert, key), TLS(ca.read_bytes(), cert.read_text(), key.read_bytes())):
        file = connect(secured.url, tls=tls).upload(b"over TLS")
        assert file.created_by == "worker"
    assert connect(secured.url.removeprefix("https://"), tls=TLS(ca, cert, key)).download_bytes(file.id) == b"over TLS"
    waits: list[object] = []
    policy = RetryPolicy(retries=3, on_retry=lambda *seen: waits.append(seen))
    for wrong in (None, TLS(certificates / "stranger.pem", cert, key)):
        with pytest.raises(UnavailableError) as caught:
            connect(secured.url, tls=wrong, retry=policy).get(file.id)
        assert caught.value.reason == "TLS_FAILED"
    assert waits == []
    with pytest.raises(AssetError):
        connect(secured.url, tls=TLS(ca), retry=RetryPolicy(retries=0)).get(file.id)
    for broken in (TLS(ca, cert), TLS("/no/such.pem")):
        with pytest.raises(AssetError) as invalid:
            connect(secured.url, tls=broken).get(file.id)
        assert invalid.value.reason == "OPTION_INVALID"

"""Sources of access tokens."""

from __future__ import annotations

import base64
import http.client
import inspect
import json
import os
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

from asset_service._target import assert_protected, check_http_url
from asset_service.errors import AssetError, UnauthenticatedError, invalid_option, make_error


@runtime_checkable
class TokenSource(Protocol):
    """Gives tokens and replaces one that the service refused. It may block; the asyncio client calls it in a thread."""

    def get(self, refused: str | None = None) -> str:
        """A token; another one than `refused`, if possible."""
        ...


Token: TypeAlias = str | Callable[[], str] | Callable[[], Awaitable[str]] | TokenSource
"""An access token, a function that returns one, or a source.

A function is called before every call, so it should cache; only the asyncio client takes one that returns an awaitable.
After the service refused a token, the function is called again, and the call is repeated once if the token is another
one.
"""


@dataclass(frozen=True)
class IssuedToken:
    """A token of an issuer."""

    token: str
    expires_in: float
    """Remaining lifetime in seconds."""


_MARGIN = 30.0
"""How long before its expiry a token is replaced, in seconds; at most a tenth of its lifetime."""
_FETCH_TIMEOUT = 10.0


class CachedToken:
    """Caches a token and gets another shortly before expiry or when the service refuses it.

    Concurrent calls share one `issue`; if it fails, a token that is still valid stays in use. It can be shared by clients
    and threads, and used after a fork.
    """

    def __init__(self, issue: Callable[[], IssuedToken]) -> None:
        self._issue = issue
        self._current: IssuedToken | None = None
        self._renew_at = self._end = 0.0
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        return {"_issue": self._issue}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["_issue"])  # type: ignore[misc]

    def peek(self, refused: str | None = None) -> str | None:
        """The cached token, if it needs no renewal."""
        current = self._current
        if current is None or current.token == refused or time.monotonic() >= self._renew_at:
            return None
        return current.token

    def get(self, refused: str | None = None) -> str:
        """A valid token; another one than `refused`."""
        known = self.peek(refused)
        if known is not None:
            return known
        if self._pid != os.getpid():
            # The thread that held the lock is not in this process.
            self._lock, self._pid = threading.Lock(), os.getpid()
        with self._lock:
            known = self.peek(refused)
            if known is not None:
                return known
            try:
                issued = self._issue()
            except AssetError:
                current = self._current
                if current is not None and current.token != refused and time.monotonic() < self._end:
                    return current.token
                raise
            now = time.monotonic()
            self._end = now + issued.expires_in
            self._renew_at = self._end - min(_MARGIN, issued.expires_in / 10)
            self._current = issued
            return issued.token


class ClientCredentials(CachedToken):
    """Tokens of a service by OAuth 2.0 client credentials, cached as in `CachedToken`.

    `token_url` is the token endpoint; Keycloak's is `<issuer>/protocol/openid-connect/token`. `ca` is a file with
    certificates in PEM to trust. The secret is not sent over http to another machine unless `allow_tokens_over_http`.
    """

    def __init__(
        self,
        token_url: str,
        client_id: str,
        client_secret: str,
        *,
        scope: str | None = None,
        ca: str | os.PathLike[str] | None = None,
        allow_tokens_over_http: bool = False,
    ) -> None:
        url = check_http_url("token_url", token_url)
        if url.scheme == "http" and not allow_tokens_over_http:
            assert_protected(url.hostname or "", "client secret")
        self._arguments = (token_url, client_id, client_secret, scope, ca, allow_tokens_over_http)
        super().__init__(self._fetch)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._arguments[0]!r}, {self._arguments[1]!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {"_arguments": self._arguments}

    def __setstate__(self, state: dict[str, Any]) -> None:
        url, name, secret, scope, ca, allow = state["_arguments"]
        self.__init__(url, name, secret, scope=scope, ca=ca, allow_tokens_over_http=allow)  # type: ignore[misc]

    def _fetch(self) -> IssuedToken:
        url, client_id, client_secret, scope, ca, _ = self._arguments
        # RFC 6749, section 2.3.1: both are form-encoded.
        pair = ":".join(urllib.parse.quote_plus(text) for text in (client_id, client_secret))
        form = {"grant_type": "client_credentials", **({"scope": scope} if scope else {})}
        request = urllib.request.Request(
            url,
            data=urllib.parse.urlencode(form).encode(),
            headers={
                "authorization": f"Basic {base64.b64encode(pair.encode()).decode()}",
                "accept": "application/json",
            },
        )
        handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
        if url.startswith("https:"):
            handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=ca)))
        status, body = 0, b""
        try:
            with urllib.request.build_opener(*handlers).open(request, timeout=_FETCH_TIMEOUT) as response:
                status, body = response.status, response.read(2**20)
        except urllib.error.HTTPError as error:
            with error:
                status, body = error.code, error.read(2**20)
        except (OSError, http.client.HTTPException) as error:
            raise _failed("UNAVAILABLE", "the issuer of tokens cannot be reached") from error
        try:
            answer = json.loads(body)
        except ValueError:
            answer = {}
        if not isinstance(answer, dict):
            answer = {}
        token, seconds, said = (answer.get(name) for name in ("access_token", "expires_in", "error"))
        if 200 <= status < 300 and isinstance(token, str):
            # A token without a lifetime is replaced every minute.
            return IssuedToken(token, float(seconds) if isinstance(seconds, (int, float)) else 60.0)
        why = said if isinstance(said, str) else f"HTTP {status}"
        code = "UNAVAILABLE" if status >= 500 or status == 429 else "UNAUTHENTICATED"
        raise _failed(code, f"the issuer gives the client {client_id} no token: {why}")


class EnvironmentToken:
    """The token in ASSET_SERVICE_TOKEN, or in the file that ASSET_SERVICE_TOKEN_FILE names; none if neither is set.

    Read before every call, because it may be renewed.
    """

    def __call__(self) -> str:
        path = os.environ.get("ASSET_SERVICE_TOKEN_FILE")
        if not path:
            return os.environ.get("ASSET_SERVICE_TOKEN", "")
        try:
            with open(path, encoding="utf8") as file:
                return file.read().strip()
        except OSError as error:
            raise invalid_option(f"ASSET_SERVICE_TOKEN_FILE cannot be read: {error.strerror}") from error


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Does not send the secret to another address."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def _failed(code: str, message: str) -> AssetError:
    if code == "UNAVAILABLE":
        return make_error(code, message, reason="ISSUER_UNAVAILABLE")
    return make_error(code, message, reason="TOKEN_UNAVAILABLE")


def check_source(name: str, source: Token | None) -> None:
    """Raises OPTION_INVALID if a value is no source of tokens."""
    if source is None or isinstance(source, (str, TokenSource)) or callable(source):
        return
    raise invalid_option(f"{name} must be a text, a function that returns one, or a source of tokens")


def read_fast(source: Token | None, refused: str | None) -> str | None | Awaitable[str] | TokenSource:
    """The token, an awaitable of it, or the source itself if it must be asked and may block."""
    if source is None or isinstance(source, str):
        return source
    if isinstance(source, CachedToken):
        return source.peek(refused) or source
    if isinstance(source, TokenSource):
        return source
    return source()


def check_token(token: object) -> str:
    """The token. Raises TOKEN_UNAVAILABLE if it is not one word; the message never shows it."""
    if isinstance(token, str) and token and all("\x21" <= each <= "\x7e" for each in token):
        return token
    if inspect.iscoroutine(token):
        token.close()
    raise UnauthenticatedError(
        "what was given as a token is none: it has to be one word of visible ASCII characters, without spaces or line"
        " breaks",
        reason="TOKEN_UNAVAILABLE",
    )

"""The address of the service."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import grpc

from asset_service.errors import invalid_option, make_error


@dataclass(frozen=True)
class TLS:
    """TLS of a client: what to trust, and who it is. Each is PEM as bytes, or the path of a file with it."""

    ca: bytes | str | os.PathLike[str] | None = None
    """Certificates of authorities to trust; None for those that gRPC brings."""
    cert: bytes | str | os.PathLike[str] | None = None
    """Certificate chain of this client (mTLS)."""
    key: bytes | str | os.PathLike[str] | None = None
    """Private key of this client."""

    def __repr__(self) -> str:
        return f"TLS(ca={'given' if self.ca else None}, cert={'given' if self.cert else None})"

    def credentials(self) -> grpc.ChannelCredentials:
        """The credentials of a channel. Files are read now, so that a new channel uses renewed certificates."""
        if (self.cert is None) != (self.key is None):
            raise invalid_option("tls needs both cert and key, or neither")
        return grpc.ssl_channel_credentials(_pem("ca", self.ca), _pem("key", self.key), _pem("cert", self.cert))


def _pem(name: str, given: bytes | str | os.PathLike[str] | None) -> bytes | None:
    if given is None or isinstance(given, bytes):
        return given
    if isinstance(given, str) and given.lstrip().startswith("-----BEGIN"):
        return given.encode()
    try:
        return Path(given).read_bytes()
    except OSError as error:
        raise invalid_option(f"tls.{name} cannot be read: {error.strerror}") from error


@dataclass(frozen=True)
class Target:
    """Where the service is, in the words of gRPC."""

    address: str
    """`host:port` or another name that gRPC resolves."""
    secure: bool
    local: bool
    """True if no other machine is between."""


def parse_target(target: str, tls: TLS | None) -> Target:
    """Understands `http://host:port`, `https://host`, `host:port`, `unix:PATH` and `dns:NAME`. Raises OPTION_INVALID."""
    if not isinstance(target, str) or not target or re.search(r"[\s\x00-\x1f]", target):
        raise invalid_option(
            f"target must be an address such as https://assets.example or 127.0.0.1:8080, not {target!r}"
        )
    if re.match(r"https?:", target, re.IGNORECASE):
        url = check_http_url("target", target)
        if url.path not in ("", "/") or url.query or url.fragment or url.username:
            raise invalid_option("target must be the address of a service alone: a host and a port")
        secure = url.scheme == "https"
        if tls is not None and not secure:
            raise invalid_option("tls needs a target with https:")
        host = url.hostname or ""
        port = url.port or (443 if secure else 80)
        return Target(f"[{host}]:{port}" if ":" in host else f"{host}:{port}", secure, is_loopback(host))
    if "://" in target and not re.match(r"(?:dns|unix|ipv4|ipv6|xds):", target):
        raise invalid_option(
            f"target must be an address such as https://assets.example or 127.0.0.1:8080, not {target!r}"
        )
    name = re.sub(r"^(?:dns:(?://[^/]*/)?|ipv4:|ipv6:)", "", target)
    host = re.sub(r":\d+$", "", name).strip("[]")
    return Target(target, tls is not None, target.startswith("unix:") or is_loopback(host))


def check_http_url(name: str, value: object) -> SplitResult:
    """A URL of http or https. Raises OPTION_INVALID."""
    if isinstance(value, str):
        try:
            url = urlsplit(value)
            if url.scheme in ("http", "https") and url.hostname and (url.port is None or url.port > 0):
                return url
        except ValueError:
            pass
    raise invalid_option(f"{name} must be a URL such as https://assets.example, not {value!r}")


def is_loopback(host: str) -> bool:
    """True if a host is this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def assert_protected(host: str, what: str) -> None:
    """Raises TOKEN_NOT_PROTECTED if a secret would go over http to another machine."""
    if is_loopback(host):
        return
    raise make_error(
        "FAILED_PRECONDITION",
        f"no {what} is sent to {host} over http, where anybody on the way can read and use it: take https, or set"
        " allow_tokens_over_http where the network protects it",
        reason="TOKEN_NOT_PROTECTED",
    )

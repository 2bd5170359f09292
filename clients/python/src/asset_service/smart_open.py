"""`asset://` for smart_open: `smart_open.transport.register_transport("asset_service.smart_open")`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asset_service.fs import AssetFileSystem

SCHEME = "asset"


def parse_uri(uri_as_string: str) -> dict[str, Any]:
    """The parts of an address."""
    return {"scheme": SCHEME, "uri": uri_as_string}


def open_uri(uri: str, mode: str, transport_params: Mapping[str, Any] | None) -> Any:
    """Opens an address. The parameters are the storage options of the filesystem."""
    return open(uri, mode, **(transport_params or {}))


def open(uri: str, mode: str, **options: Any) -> Any:
    """Opens an address for reading or, in a draft, writing."""
    opened: Any = AssetFileSystem(**options).open(uri, mode)
    return opened

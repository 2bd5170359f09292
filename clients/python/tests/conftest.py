"""The service of the tests, and clients of both kinds."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import AsyncDriver, MiB, Proxy, Service

import asset_service._consume
from asset_service import AssetClient, AsyncAssetClient

PART_BYTES = 5 * MiB

# A worker that stops waits for the end of its call for events.
asset_service._consume.WAIT_SECONDS = 1


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The store and the catalog: embedded, or those that the caller of pytest started."""
    policies = tmp_path_factory.mktemp("policies") / "policies.json"
    variants = {"thumb": {"width": 8, "format": "auto"}}
    policies.write_text(json.dumps({"usages": {"picture": {"variants": variants}}, "default": {}}))
    return {
        "ASSET_UPLOAD_PART_SIZE": str(PART_BYTES),
        "ASSET_POLICY_FILE": str(policies),
        **json.loads(os.environ.get("ASSET_TEST_SERVICE_ENV", "{}")),
    }


@pytest.fixture(scope="session")
def service(settings: dict[str, str]) -> Iterator[Service]:
    """One service for all tests; some kill it and start it again."""
    started = Service(settings).start()
    yield started
    started.dispose()


@pytest.fixture
def proxy(service: Service) -> Iterator[Proxy]:
    """A proxy before the service."""
    made = Proxy(service.port)
    yield made
    made.close()


@pytest.fixture(scope="session")
def content() -> bytes:
    """Bytes of three parts and more."""
    return random.Random(1).randbytes(18 * MiB + 123)


@pytest.fixture
def path(tmp_path: Path, content: bytes) -> Path:
    """A file with the content."""
    file = tmp_path / "content.bin"
    file.write_bytes(content)
    return file


Connect = Callable[..., Any]


@pytest.fixture(params=os.environ.get("ASSET_TEST_CLIENTS", "sync,async").split(","))
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Makes clients, of each kind in turn, and closes them."""
    made: list[Any] = []

    def make(target: str, **options: Any) -> Any:
        client: Any = AssetClient(target, **options)
        if request.param == "async":
            client = AsyncDriver(AsyncAssetClient(target, **options))
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


@pytest.fixture
def client(connect: Connect, service: Service) -> Any:
    """A client of the service."""
    return connect(service.url)


@pytest.fixture(scope="session")
def shared_client(service: Service) -> Iterator[AssetClient]:
    """A synchronous client for what is not tested itself."""
    with AssetClient(service.url) as made:
        yield made

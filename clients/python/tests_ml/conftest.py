"""The service of the tests with the libraries of machine learning."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support import Service


@pytest.fixture(scope="session")
def settings() -> dict[str, str]:
    """The store and the catalog: embedded, or those that the caller of pytest started."""
    return json.loads(os.environ.get("ASSET_TEST_SERVICE_ENV", "{}"))


@pytest.fixture(scope="session")
def service(settings: dict[str, str]) -> Iterator[Service]:
    started = Service(settings).start()
    yield started
    started.dispose()

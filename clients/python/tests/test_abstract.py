"""The tests of fsspec itself, over a draft."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from importlib import import_module
from typing import Any

import pytest
from support import Service

from asset_service.fs import AssetFileSystem

abstract: Any = import_module("fsspec.tests.abstract")


class DraftFixtures(abstract.AbstractFixtures):
    """A draft as the filesystem under test."""

    @pytest.fixture(scope="class")
    def fs(self, service: Service, tmp_path_factory: pytest.TempPathFactory) -> Any:
        return AssetFileSystem(service.url, drafts=tmp_path_factory.mktemp("drafts"))

    @pytest.fixture
    def fs_path(self) -> str:
        return "suite@draft"


class TestCopy(abstract.AbstractCopyTests, DraftFixtures):
    pass


class TestGet(abstract.AbstractGetTests, DraftFixtures):
    pass


class TestPut(abstract.AbstractPutTests, DraftFixtures):
    pass


class TestOpen(abstract.AbstractOpenTests, DraftFixtures):
    pass


class TestPipe(abstract.AbstractPipeTests, DraftFixtures):
    pass

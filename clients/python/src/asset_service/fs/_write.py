"""Writing files into drafts."""

from __future__ import annotations

import tempfile
from typing import Any

from fsspec.spec import AbstractBufferedFile

from asset_service.datasets._draft import Draft
from asset_service.datasets._manifest import entry_of
from asset_service.errors import AssetError
from asset_service.fs._errors import as_os_errors
from asset_service.fs._session import Session
from asset_service.records import AssetFile

_MEMORY_BYTES = 8 * 2**20
"""How much of a file is kept in memory before it goes to a temporary file."""


class DraftWriter:
    """Uploads files and sets them in drafts."""

    def __init__(self, session: Session, usage: str | None, owner: str | None) -> None:
        self._session = session
        self._usage, self._owner = usage, owner

    def upload(self, source: Any, path: str) -> AssetFile:
        """Uploads bytes for a path."""
        name = path.rpartition("/")[2]
        return self._session.client.upload(source, name=name, usage=self._usage, owner=self._owner)

    def put(self, draft: Draft, path: str, source: Any, exclusive: bool = False) -> None:
        """Uploads bytes and sets them at a path. A file that the path had is deleted if nothing else names it."""
        file = self.upload(source, path)
        try:
            released = draft.put(entry_of(path, file), own=True, exclusive=exclusive)
        except OSError:
            self.release([file.id])
            raise
        self.release([each for each in released if each != file.id])

    def release(self, ids: list[str]) -> None:
        """Deletes files that were uploaded for a draft. Those that a version names, or that this caller may not delete, stay."""
        for each in ids:
            try:
                self._session.client.delete(each)
            except AssetError as error:
                if error.reason not in ("FILE_PINNED", "FILE_NOT_FOUND", "FILE_DELETED", "PERMISSION_DENIED"):
                    raise


class WriteFile(AbstractBufferedFile):
    """A file in a draft, opened for writing. It is there when it is closed."""

    def __init__(
        self, fs: Any, path: str, writer: DraftWriter, draft: Draft, rest: str, before: bytes, **options: Any
    ) -> None:
        super().__init__(fs, path, **options)
        self._writer, self._draft, self._rest = writer, draft, rest
        self._spool: Any = tempfile.SpooledTemporaryFile(_MEMORY_BYTES)  # noqa: SIM115
        self._spool.write(before)

    def _initiate_upload(self) -> None:
        return

    def _upload_chunk(self, final: bool = False) -> None:
        self._spool.write(self.buffer.getvalue())
        if final and self.autocommit:
            self.commit()

    def commit(self) -> None:
        """Uploads the bytes and sets the file."""
        self._spool.seek(0)
        with self._spool, as_os_errors(self.path):
            self._writer.put(self._draft, self._rest, self._spool, exclusive=self.mode == "xb")

    def discard(self) -> None:
        """Gives the bytes up."""
        self._spool.close()

# Made from _async/_targets.py by tools/generate_sync.py. Change that file.
"""Where the bytes of a download go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asset_service._sync._io import run_blocking
from asset_service._download_target import target_failed
from asset_service.progress import ProgressReporter, ProgressTarget

if TYPE_CHECKING:
    from asset_service._sync._download import Download

Piece = bytes | memoryview
"""The bytes of one message, without a copy where nobody needs one."""


class Memory:
    def __init__(self, content: bytearray) -> None:
        self._content = content

    def write(self, piece: Piece) -> None:
        self._content += piece


class FileObject:
    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, piece: Piece) -> Any:
        """Writes a whole piece; a raw file may take less at once."""
        at = 0
        while at < len(piece):
            try:
                written = self._file.write(memoryview(piece)[at:] if at else piece)
            except Exception as error:
                raise target_failed("the destination", error) from error
            at += written if isinstance(written, int) else len(piece)
        return None


def pass_on(download: Download, target: Any, size: int, progress: ProgressTarget | None) -> None:
    """Writes every piece."""
    reporter = ProgressReporter(progress, size, download.file.name or None)
    done = 0
    try:
        while True:
            piece = download._next()
            if piece is None:
                return
            if len(piece) == 0:
                continue
            pending = run_blocking(target.write, piece)
            if pending is not None:
                _ = pending
            done += len(piece)
            reporter.at(done, 1)
    finally:
        reporter.close()

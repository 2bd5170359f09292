"""Checks of the bytes of a download."""

from __future__ import annotations

import hashlib
from typing import Literal

from asset_service._hash import crc32c
from asset_service.errors import damaged, invalid_option
from asset_service.records import AssetFile

Verify = Literal["sha256", "crc32c", "none"]
"""What the bytes of a download are checked against.

"sha256": a whole file against its SHA-256, a range or a variant piece by piece against the CRC32C of each message.
"crc32c": the same with the CRC32C of the record in place of the SHA-256, which takes a tenth of the processor time. It finds
accidents, but not a change that somebody made on purpose. "none": only the number of bytes is checked.
"""

_SLICE = 64 * 1024
"""Bytes that are copied at once for the CRC32C, whose library takes no views. A larger copy costs more than its checksum."""


def check_verify(verify: object) -> Verify:
    """The way to verify. Raises OPTION_INVALID."""
    for known in ("sha256", "crc32c", "none"):
        if verify == known:
            return known
    raise invalid_option(f"verify must be 'sha256', 'crc32c' or 'none', not {verify!r}")


def crc32c_of(content: bytes | memoryview, crc: int = 0) -> int:
    """CRC32C of a view, or continued from that of the bytes before it."""
    if isinstance(content, bytes):
        return crc32c(content, crc)
    for at in range(0, len(content), _SLICE):
        crc = crc32c(bytes(content[at : at + _SLICE]), crc)
    return crc


class DownloadCheck:
    """Checks the bytes of one download, in their order."""

    def __init__(self, verify: Verify, file: AssetFile, is_whole: bool, each: bool) -> None:
        """is_whole: the bytes are those that the checksums of the record are of. each: checks every piece by itself too."""
        self._file = file
        self._sha256: hashlib._Hash | None = None
        self._crc32c: int | None = None
        if verify != "none" and is_whole:
            # An old file may have one of the two only.
            if file.crc32c is not None and (verify == "crc32c" or file.sha256 is None):
                self._crc32c = 0
            elif file.sha256 is not None:
                self._sha256 = hashlib.sha256()
        has_end = self._sha256 is not None or self._crc32c is not None
        self._pieces = verify != "none" and (each or not has_end)

    def add(self, content: bytes | memoryview, crc: int | None) -> None:
        """Adds the bytes of a message, which says that they have this CRC32C. Raises DOWNLOAD_DAMAGED."""
        if self._pieces and crc is not None and crc != crc32c_of(content):
            raise damaged(self._file.id, "a piece of the download does not have its checksum")
        if self._sha256 is not None:
            self._sha256.update(content)
        if self._crc32c is not None:
            self._crc32c = crc32c_of(content, self._crc32c)

    def finish(self) -> None:
        """Checks the whole. Raises DOWNLOAD_DAMAGED."""
        if self._sha256 is not None and self._sha256.hexdigest() != self._file.sha256:
            raise damaged(self._file.id, "the downloaded file does not have its SHA-256")
        if self._crc32c is not None and self._crc32c != self._file.crc32c:
            raise damaged(self._file.id, "the downloaded file does not have its CRC32C")

"""Checksums of a file while it is sent."""

from __future__ import annotations

import hashlib

import google_crc32c

from asset_service._gen import file_pb2


def crc32c(piece: bytes, crc: int = 0) -> int:
    """CRC32C of a piece, or continued from that of the bytes before it."""
    return int(google_crc32c.extend(crc, piece))


class WholeHash:
    """The checksums of a file from its start.

    Bytes that are sent again are not hashed again, so a try that begins earlier needs no older state of the hash.
    """

    def __init__(self, with_sha256: bool) -> None:
        self._with_sha256 = with_sha256
        self.restart()

    def restart(self) -> None:
        """Restarts, for a source that is read again from its start and may have changed."""
        self._sha256 = hashlib.sha256() if self._with_sha256 else None
        self._crc32c = 0
        self.position = 0
        """Number of hashed bytes."""
        self.finished = False
        """True once the checksums of the whole were taken."""

    def update(self, piece: bytes, offset: int) -> None:
        """Adds the new bytes of a piece."""
        if offset > self.position:
            raise RuntimeError("bytes were left out of the checksum")
        fresh = piece if offset == self.position else piece[self.position - offset :]
        if len(fresh) == 0:
            return
        if self._sha256 is not None:
            self._sha256.update(fresh)
        self._crc32c = crc32c(fresh, self._crc32c)
        self.position += len(fresh)

    def finish(self) -> file_pb2.Checksums:
        """The checksums."""
        self.finished = True
        sha256 = b"" if self._sha256 is None else self._sha256.digest()
        return file_pb2.Checksums(sha256=sha256, crc32c=self._crc32c)

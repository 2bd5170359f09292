"""The local target of a download. A regular file gets all bytes at once, after they were checked."""

from __future__ import annotations

import errno
import os
import stat
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from asset_service._local_name import local_file_name
from asset_service.errors import AssetError, make_error
from asset_service.records import AssetFile

Result = TypeVar("Result")

_EXPLAINED = {
    errno.ENOENT: "its directory does not exist",
    errno.ENOTDIR: "what should be its directory is none",
    errno.ENAMETOOLONG: "the name is too long for the file system",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EROFS: "the file system is read-only",
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EPIPE: "whoever read it is gone",
}


def target_failed(path: object, error: Exception) -> AssetError:
    """The error for a local target that could not be written."""
    if isinstance(error, AssetError):
        return error
    why = _EXPLAINED.get(getattr(error, "errno", None) or 0) or getattr(error, "strerror", None) or str(error)
    failure = make_error("FAILED_PRECONDITION", f"{path} could not be written: {why}", reason="TARGET_FAILED")
    failure.__cause__ = error
    return failure


def _target_exists(path: Path) -> AssetError:
    message = f"{path} exists already and was left as it is: give another path"
    return make_error("ALREADY_EXISTS", message, reason="TARGET_EXISTS")


class PathTarget:
    """A path to download to. Finds out what it is before the download, so that an unwritable one fails first."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.given = os.fspath(path)
        self.path = Path(self.given)
        """The path of the file: the given one, or inside the given directory."""
        self._replaced: os.stat_result | None = None
        self._directory = self.is_pipe = False
        self._part: Path | None = None
        self._fd = -1
        self._guard(self._find)

    def _guard(self, work: Callable[[], Result]) -> Result:
        try:
            return work()
        except (OSError, ValueError) as error:
            raise target_failed(self.given, error) from error

    def _find(self) -> None:
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            if self.given == "" or self.given.endswith(("/", os.sep)):
                raise
            # The target of a symbolic link that leads to nothing.
            self._place = Path(os.path.realpath(self.path))
            os.stat(self._place.parent)
            return
        if stat.S_ISDIR(found.st_mode):
            self._directory = True
        elif stat.S_ISFIFO(found.st_mode) or stat.S_ISCHR(found.st_mode):
            self.is_pipe = True
        elif stat.S_ISREG(found.st_mode):
            # A rename would replace a read-only file.
            if not os.access(self.path, os.W_OK):
                raise PermissionError(errno.EACCES, "permission denied")
            self._replaced, self._place = found, Path(os.path.realpath(self.path))
        else:
            raise ValueError("it is neither a file nor a pipe")

    def open(self, file: AssetFile) -> bool:
        """Opens the temporary file, or the pipe. False if nobody reads the pipe yet: try again."""
        return self._guard(lambda: self._open(file))

    def _open(self, file: AssetFile) -> bool:
        if self.is_pipe:
            try:
                self._fd = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    return False
                raise
            os.set_blocking(self._fd, True)
            return True
        if self._directory:
            self.path = self._place = self.path / local_file_name(file.name, file.id)
            if os.path.lexists(self._place):
                raise _target_exists(self._place)
        # In the same directory, because a rename across file systems is a copy. The name is always short.
        part = self._place.parent / f".asset-{uuid.uuid4()}.part"
        mode = 0o666 if self._replaced is None else 0o600
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        self._fd = os.open(part, flags, mode)
        self._part = part
        return True

    def write(self, piece: bytes | memoryview) -> None:
        """Writes a whole piece."""
        view = memoryview(piece)

        def work() -> None:
            at = 0
            while at < len(view):
                at += os.write(self._fd, view[at:])

        self._guard(work)

    def commit(self) -> None:
        """Gives the path the complete file. A replaced file passes on its mode, and its owner if the process may set it."""
        self._guard(self._commit)

    def _commit(self) -> None:
        part, replaced = self._part, self._replaced
        if part is None:
            self._close()
            return
        if replaced is not None and hasattr(os, "fchown"):
            try:
                os.fchown(self._fd, replaced.st_uid, replaced.st_gid)
            except OSError:
                pass
            os.fchmod(self._fd, stat.S_IMODE(replaced.st_mode))
        os.fsync(self._fd)
        self._close()
        if self._directory:
            self._claim(part)
        else:
            os.replace(part, self._place)
        self._part = None

    def _claim(self, part: Path) -> None:
        """Renames to a name that does not exist."""
        try:
            os.link(part, self._place)
        except FileExistsError:
            raise _target_exists(self._place) from None
        except OSError:
            # The file system has no hard links.
            try:
                os.close(os.open(self._place, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                raise _target_exists(self._place) from None
            os.replace(part, self._place)
        else:
            os.unlink(part)

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def discard(self) -> None:
        """Closes and removes what was not committed; nothing after a commit."""
        try:
            self._close()
            if self._part is not None:
                os.unlink(self._part)
        except OSError:
            # A failed cleanup must not hide the error of the download.
            pass
        self._part = None

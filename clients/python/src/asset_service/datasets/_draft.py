"""Drafts: mutable lists of files on this machine, from which versions are made."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from asset_service.datasets._manifest import Entry, check_name, check_path

_TABLES = """
pragma journal_mode = wal;
create table if not exists entries (
  path text not null primary key, id text not null, sha256 text not null, size integer not null, own integer not null);
create table if not exists folders (path text not null primary key);
create index if not exists entries_by_id on entries (id);
pragma user_version = 1;
"""


def drafts_directory(given: str | os.PathLike[str] | None = None) -> Path:
    """Where drafts are: the given directory, ASSET_DATASET_DRAFTS, or the user's data directory."""
    found = given or os.environ.get("ASSET_DATASET_DRAFTS")
    if found:
        return Path(found)
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "asset-service" / "drafts"


class Draft:
    """A mutable list of paths, each with the file behind it.

    The bytes are files of the service; only the list is here, in one SQLite file, which processes of this machine may
    change at the same time.
    """

    def __init__(self, name: str, directory: str | os.PathLike[str] | None = None) -> None:
        self.name = check_name("dataset", name)
        self._path = drafts_directory(directory) / f"{name}.sqlite"

    def exists(self) -> bool:
        """Whether the draft was begun."""
        return self._path.exists()

    def begin(self) -> None:
        """Begins the draft, if it is not there."""
        with self._change():
            pass

    def discard(self) -> None:
        """Removes the list. Files that were uploaded for it stay."""
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def entry(self, path: str) -> Entry | None:
        """The file at a path."""
        if not self.exists():
            return None
        with self._open() as db:
            return _entry(db, path)

    def entries(self) -> list[Entry]:
        """All files."""
        if not self.exists():
            return []
        with self._open() as db:
            return [Entry(*row) for row in db.execute("select path, id, sha256, size from entries order by path")]

    def children(self, path: str) -> Mapping[str, Entry | None] | None:
        """What is in a folder by name, None for a folder; None if there is no such folder."""
        if not self.exists():
            return None
        start = f"{path}/" if path else ""
        # The first text behind all that begin so.
        end = f"{path}0" if path else "\U0010ffff"
        with self._open() as db:
            found: dict[str, Entry | None] = {}
            names = "select path, id, sha256, size from entries where path >= ? and path < ?"
            for row in db.execute(names, (start, end)):
                name, _, rest = row[0][len(start) :].partition("/")
                found.setdefault(name, None if rest else Entry(*row))
            for (folder,) in db.execute("select path from folders where path >= ? and path < ?", (start, end)):
                found.setdefault(folder[len(start) :].partition("/")[0], None)
            if found or path == "" or _has_folder(db, path):
                return dict(sorted(found.items()))
            return None

    def put(self, entry: Entry, *, own: bool = False, exclusive: bool = False) -> list[str]:
        """Sets the file at a path. Returns the ids of own files that nothing names any more.

        own: the file was uploaded for this draft, and may be deleted when the draft does not name it any more.
        exclusive: raises FileExistsError if there is a file.
        """
        check_path(entry.path)
        with self._change() as db:
            before = _entry(db, entry.path)
            if before is not None and exclusive:
                raise FileExistsError(17, "there is a file", entry.path)
            self._assert_file_place(db, entry.path)
            released = self._own(db, [before] if before else [])
            row = (entry.path, entry.id, entry.sha256, entry.size, int(own))
            db.execute("insert or replace into entries values (?, ?, ?, ?, ?)", row)
            return _unnamed(db, released)

    def update(self, entries: Iterable[Entry]) -> None:
        """Sets many files, such as those of a version."""
        with self._change() as db:
            for entry in entries:
                check_path(entry.path)
                self._assert_file_place(db, entry.path)
                row = (entry.path, entry.id, entry.sha256, entry.size)
                db.execute("insert or replace into entries values (?, ?, ?, ?, 0)", row)

    def copy(self, source: str, target: str) -> list[str]:
        """Gives a file a second path. Copies no bytes."""
        found = self.entry(source)
        if found is None:
            raise FileNotFoundError(2, "there is no file", source)
        with self._open() as db:
            own = bool(self._own(db, [found]))
        return self.put(Entry(target, found.id, found.sha256, found.size), own=own)

    def remove(self, path: str) -> list[str]:
        """Removes a file. Returns the ids of own files that nothing names any more."""
        with self._change() as db:
            before = _entry(db, path)
            if before is None:
                raise FileNotFoundError(2, "there is no file", path)
            released = self._own(db, [before])
            db.execute("delete from entries where path = ?", (path,))
            self._keep_folder(db, path)
            return _unnamed(db, released)

    def make_folder(self, path: str) -> None:
        """Makes a folder and those above it."""
        check_path(path)
        with self._change() as db:
            if _entry(db, path) is not None:
                raise FileExistsError(17, "there is a file", path)
            self._assert_parents(db, path)
            db.execute("insert or ignore into folders values (?)", (path,))

    def remove_folder(self, path: str) -> None:
        """Removes an empty folder."""
        children = self.children(path)
        if children is None:
            raise FileNotFoundError(2, "there is no folder", path)
        if children:
            raise OSError(39, "the folder is not empty", path)
        with self._change() as db:
            db.execute("delete from folders where path = ?", (path,))
            self._keep_folder(db, path)

    def _assert_file_place(self, db: sqlite3.Connection, path: str) -> None:
        self._assert_parents(db, path)
        if _has_folder(db, path):
            raise IsADirectoryError(21, "there is a folder", path)

    def _assert_parents(self, db: sqlite3.Connection, path: str) -> None:
        parts = path.split("/")
        for end in range(1, len(parts)):
            if _entry(db, "/".join(parts[:end])) is not None:
                raise NotADirectoryError(20, "a part of the path is a file", path)

    def _keep_folder(self, db: sqlite3.Connection, path: str) -> None:
        """The folder of a removed file stays, as on a disk."""
        parent = path.rpartition("/")[0]
        if parent:
            db.execute("insert or ignore into folders values (?)", (parent,))

    def _own(self, db: sqlite3.Connection, entries: Iterable[Entry]) -> list[str]:
        own = "select 1 from entries where id = ? and own = 1"
        return [entry.id for entry in entries if db.execute(own, (entry.id,)).fetchone()]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        db = sqlite3.connect(self._path, timeout=60, isolation_level=None)
        try:
            # With a write-ahead log this is safe, and waits less for the disk.
            db.execute("pragma synchronous = normal")
            yield db
        finally:
            db.close()

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._open() as db:
            if db.execute("pragma user_version").fetchone() != (1,):
                db.executescript(_TABLES)
            db.execute("begin immediate")
            try:
                yield db
            except BaseException:
                db.execute("rollback")
                raise
            db.execute("commit")


def _entry(db: sqlite3.Connection, path: str) -> Entry | None:
    row = db.execute("select path, id, sha256, size from entries where path = ?", (path,)).fetchone()
    return Entry(*row) if row else None


def _has_folder(db: sqlite3.Connection, path: str) -> bool:
    inside = (f"{path}/", f"{path}0")
    return any(
        db.execute(query, arguments).fetchone()
        for query, arguments in [
            ("select 1 from folders where path = ?", (path,)),
            ("select 1 from folders where path >= ? and path < ? limit 1", inside),
            ("select 1 from entries where path >= ? and path < ? limit 1", inside),
        ]
    )


def _unnamed(db: sqlite3.Connection, ids: list[str]) -> list[str]:
    return [each for each in ids if not db.execute("select 1 from entries where id = ?", (each,)).fetchone()]

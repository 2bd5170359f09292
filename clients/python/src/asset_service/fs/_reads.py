"""Reads of whole files, ranges and many files."""

from __future__ import annotations

import hashlib
import os
import uuid
from pathlib import Path
from typing import Any

from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.utils import isfilelike

from asset_service.errors import damaged
from asset_service.fs._base import BaseFileSystem
from asset_service.fs._content import Wanted, read_many, read_range
from asset_service.fs._errors import as_os_errors
from asset_service.fs._trees import place_of


class ReadingFileSystem(BaseFileSystem):
    """Reads without an open file."""

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **options: Any) -> bytes:
        """The bytes of a file, or a range of it."""
        path = self._plain(path)
        content = self._content(path)
        with as_os_errors(path):
            return read_range(self._session.reader, content, *content.cut(start, end))

    def cat(self, path: Any, recursive: bool = False, on_error: str = "raise", **options: Any) -> Any:
        """The bytes of one file, or of many by path."""
        if isinstance(path, str) and not recursive and "*" not in path:
            return self.cat_file(path, **options)
        paths = self.expand_path(path, recursive=recursive)
        paths = [each for each in paths if not self.isdir(each)] if recursive else paths
        start, end = options.get("start"), options.get("end")
        found = self.cat_ranges(paths, [start] * len(paths), [end] * len(paths), on_error="return")
        if on_error == "raise":
            for each in found:
                if isinstance(each, Exception):
                    raise each
        omit = on_error == "omit"
        return {name: each for name, each in zip(paths, found) if not (omit and isinstance(each, Exception))}

    def cat_ranges(
        self,
        paths: list[str],
        starts: Any,
        ends: Any,
        max_gap: int | None = None,
        on_error: str = "return",
        **options: Any,
    ) -> list[Any]:
        """Many ranges, read by few requests at the same time. A failure is raised, or with "return" stands in the list."""
        starts = starts if isinstance(starts, list) else [starts] * len(paths)
        ends = ends if isinstance(ends, list) else [ends] * len(paths)
        if len(starts) != len(paths) or len(ends) != len(paths):
            raise ValueError("paths, starts and ends must have the same length")
        names = [self._plain(path) for path in paths]
        self._prefetch(names)
        results: dict[int, Any] = {}
        wanted: list[Wanted] = []
        for index, (name, start, end) in enumerate(zip(names, starts, ends)):
            try:
                content = self._content(name)
            except Exception as error:
                results[index] = error
                continue
            first, last = content.cut(start, end)
            wanted.append(Wanted(index, name, content, first, last))
        gap = self._max_gap if max_gap is None else max_gap
        results |= read_many(
            self._session.reader, wanted, max_gap=gap, max_block=self._max_block, concurrency=self._concurrency
        )
        found = [results[index] for index in range(len(names))]
        if on_error == "raise":
            for each in found:
                if isinstance(each, Exception):
                    raise each
        return found

    def _prefetch(self, names: list[str]) -> None:
        self._session.prefetch(name for name in names if not place_of(name).is_dataset)

    def get_file(
        self, rpath: str, lpath: Any = None, callback: Any = DEFAULT_CALLBACK, outfile: Any = None, **options: Any
    ) -> None:
        """Copies a file to a local path, which gets all bytes after they match their SHA-256, or stays as it is."""
        if outfile is not None or isfilelike(lpath) or self.isdir(rpath):
            super().get_file(rpath, lpath, callback=callback, outfile=outfile, **options)
            return
        path = self._plain(rpath)
        content = self._content(path)
        target = Path(os.fspath(lpath))
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name[:100]}.{uuid.uuid4().hex}.part")
        sha256 = hashlib.sha256()
        callback.set_size(content.size)
        try:
            with open(part, "xb") as file, as_os_errors(path):
                for start in range(0, content.size, self._max_block):
                    piece = self._session.reader.read(
                        content.file_id, start, min(start + self._max_block, content.size)
                    )
                    sha256.update(piece)
                    file.write(piece)
                    callback.relative_update(len(piece))
            if content.sha256 not in (None, sha256.hexdigest()):
                raise damaged(content.file_id, "the downloaded file does not have its SHA-256")
            os.replace(part, target)
        finally:
            part.unlink(missing_ok=True)

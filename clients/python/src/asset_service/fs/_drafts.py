"""Changes of drafts."""

from __future__ import annotations

from typing import Any

from asset_service.datasets._draft import Draft
from asset_service.datasets._manifest import Entry
from asset_service.fs._base import BaseFileSystem
from asset_service.fs._content import ReadFile
from asset_service.fs._errors import as_os_errors
from asset_service.fs._trees import place_of
from asset_service.fs._write import WriteFile


class DraftFileSystem(BaseFileSystem):
    """Opens files, and changes drafts."""

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: dict[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        options |= {"block_size": block_size, "cache_options": cache_options}
        if mode == "rb":
            return ReadFile(self, path, self._content(path), self._session.reader, **options)
        draft, rest = self._writable(path)
        before: Any = b""
        if mode == "ab" and draft.entry(rest) is not None:
            before = self.cat_file(path)
        if mode == "xb" and draft.entry(rest) is not None:
            raise FileExistsError(17, "there is a file", path)
        return WriteFile(self, path, self._writer, draft, rest, before, mode=mode, autocommit=autocommit, **options)

    def _writable(self, path: str) -> tuple[Draft, str]:
        """The draft that a path is in, and the path in it."""
        place = place_of(self._plain(path))
        with as_os_errors(path):
            draft = self._trees.draft(place) if place.is_dataset else None
        if draft is None:
            raise PermissionError(30, "files and versions of datasets never change: write into a draft", path)
        return draft, place.rest

    def pipe_file(self, path: str, value: Any, mode: str = "overwrite", **options: Any) -> None:
        """Writes a file of a draft. With the mode "create" only one of many writers succeeds."""
        with self.open(path, "xb" if mode == "create" else "wb", **options) as file:
            opened: Any = file
            opened.write(value)

    def mkdir(self, path: str, create_parents: bool = True, **options: Any) -> None:
        """Makes a folder in a draft, or begins the draft."""
        draft, rest = self._writable(path)
        if rest == "":
            draft.begin()
            return
        if draft.children(rest) is not None:
            raise FileExistsError(17, "there is a folder", path)
        if not create_parents and "/" in rest and draft.children(rest.rpartition("/")[0]) is None:
            raise FileNotFoundError(2, "there is no folder above it", path)
        draft.make_folder(rest)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Makes a folder in a draft, with those above it."""
        draft, rest = self._writable(path)
        if exist_ok and rest != "" and draft.children(rest) is not None:
            return
        self.mkdir(path)

    def rmdir(self, path: str) -> None:
        """Removes an empty folder of a draft."""
        draft, rest = self._writable(path)
        if rest:
            draft.remove_folder(rest)

    def rm_file(self, path: str) -> None:
        """Removes a file of a draft, and deletes it if it was uploaded for the draft and nothing else names it."""
        draft, rest = self._writable(path)
        self._writer.release(draft.remove(rest))

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Removes files of a draft, or with `recursive` folders."""
        for each in reversed(self.expand_path(path, recursive=recursive, maxdepth=maxdepth)):
            if self.isfile(each):
                self.rm_file(each)
            elif recursive:
                self.rmdir(each)
            else:
                raise IsADirectoryError(21, "it is a folder", each)

    def cp_file(self, path1: str, path2: str, **options: Any) -> None:
        """Gives the bytes of a file a path in a draft. Copies no bytes."""
        draft, rest = self._writable(path2)
        if self.isdir(path1):
            draft.make_folder(rest)
            return
        source = place_of(self._plain(path1))
        content = self._content(self._plain(path1))
        if source.is_dataset and source.head == place_of(self._plain(path2)).head:
            self._writer.release(draft.copy(source.rest, rest))
            return
        if content.sha256 is None:
            raise OSError(22, "the file has no SHA-256 yet: a dataset needs it", path1)
        self._writer.release(draft.put(Entry(rest, content.file_id, content.sha256, content.size)))

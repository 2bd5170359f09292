"""The manifest of a dataset: an immutable list of paths, each with the file behind it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from asset_service.errors import AssetError, invalid_option, make_error
from asset_service.records import AssetFile

USAGE = "dataset"
CONTENT_TYPE = "application/vnd.asset.dataset"
DRAFT = "draft"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NOT_IN_PATH = re.compile(r"[\x00-\x1f\x7f-\x9f\\\ud800-\udfff]")
"""Control characters, backslashes, and halves of characters, which are no Unicode: the service refuses them too."""


@dataclass(frozen=True)
class Entry:
    """One file of a dataset."""

    path: str
    id: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Manifest:
    """What a version of a dataset consists of."""

    dataset: str
    version: str
    entries: Mapping[str, Entry]
    """By path, in the order of the paths."""
    derived_from: Sequence[str] = ()
    """Ids of the files and manifests that it was made from."""
    description: str = ""
    folders: Mapping[str, Mapping[str, Entry | None]] = field(default_factory=dict, repr=False, compare=False)
    """What is in each folder by name; None for a folder. The dataset itself is ""."""

    def entry(self, path: str) -> Entry | None:
        """The file at a path."""
        return self.entries.get(path)

    def children(self, path: str) -> Mapping[str, Entry | None] | None:
        """What is in a folder, by name; None if there is no such folder."""
        return self.folders.get(path)

    def to_bytes(self) -> bytes:
        """The file that is uploaded: one line of JSON for the dataset, and one for each file."""
        head: dict[str, Any] = {"dataset": self.dataset, "version": self.version, "files": len(self.entries)}
        if self.derived_from:
            head["derived_from"] = list(self.derived_from)
        if self.description:
            head["description"] = self.description
        lines = [head, *[vars(entry) for entry in self.entries.values()]]
        return "".join(f"{json.dumps(line, ensure_ascii=False, separators=(',', ':'))}\n" for line in lines).encode()


def make_manifest(
    dataset: str, version: str, entries: Iterable[Entry], derived_from: Iterable[str] = (), description: str = ""
) -> Manifest:
    """A manifest of these files. Raises OPTION_INVALID for a wrong name, path or a path twice."""
    check_name("dataset", dataset)
    check_name("version", version)
    if version == DRAFT:
        raise invalid_option(f'no version can be named "{DRAFT}"')
    by_path: dict[str, Entry] = {}
    for entry in sorted(entries, key=lambda entry: check_path(entry.path).encode()):
        if entry.path in by_path:
            raise invalid_option(f"the path {entry.path} is there twice")
        by_path[entry.path] = entry
    sources = tuple(dict.fromkeys(derived_from))
    return Manifest(dataset, version, by_path, sources, description, _folders(by_path.values()))


def read_manifest(content: bytes) -> Manifest:
    """The manifest in a file. Raises MANIFEST_INVALID."""
    try:
        # Not splitlines: a path may have other characters that end a line.
        head, *lines = [json.loads(line) for line in content.decode().split("\n") if line]
        entries = [Entry(line["path"], line["id"], line["sha256"], line["size"]) for line in lines]
        sources = head.get("derived_from", [])
        return make_manifest(head["dataset"], head["version"], entries, sources, head.get("description", ""))
    except (ValueError, LookupError, TypeError, AttributeError, AssetError) as error:
        message = f"the file is no dataset manifest: {error}"
        raise make_error("DATA_LOSS", message, reason="MANIFEST_INVALID") from error


def entry_of(path: str, file: AssetFile) -> Entry:
    """The entry for a file. Raises FILE_NOT_HASHED for a file whose bytes the service has not read."""
    if file.sha256 is None:
        message = f"the file {file.id} has no SHA-256 yet: a dataset needs it"
        raise make_error("FAILED_PRECONDITION", message, reason="FILE_NOT_HASHED", metadata={"file_id": file.id})
    return Entry(path, file.id, file.sha256, file.size_bytes)


def check_name(what: str, name: str) -> str:
    """The name. Raises OPTION_INVALID."""
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name
    raise invalid_option(
        f"{what} has to be 1 to 64 letters, digits and . _ -, the first a letter or digit, not {name!r}"
    )


def check_path(path: str) -> str:
    """A path inside a dataset. Raises OPTION_INVALID."""
    if not isinstance(path, str):
        raise invalid_option(f"a path has to be a text, not {path!r}")
    parts = path.split("/")
    wrong = any(part in ("", ".", "..") for part in parts) or _NOT_IN_PATH.search(path) is not None
    if wrong or len(path.encode()) > 1024:
        raise invalid_option(f"a path has to be names separated by /, of at most 1024 bytes, not {path!r}")
    return path


def _folders(entries: Iterable[Entry]) -> dict[str, dict[str, Entry | None]]:
    folders: dict[str, dict[str, Entry | None]] = {"": {}}
    for entry in entries:
        parent, _, name = entry.path.rpartition("/")
        _folder(folders, parent)[name] = entry
    for path in folders:
        parent, _, name = path.rpartition("/")
        if path and folders[parent].get(name) is not None:
            raise invalid_option(f"{path} is a file and a folder")
    return folders


def _folder(folders: dict[str, dict[str, Entry | None]], path: str) -> dict[str, Entry | None]:
    found = folders.get(path)
    if found is None:
        found = folders[path] = {}
        parent, _, name = path.rpartition("/")
        _folder(folders, parent).setdefault(name, None)
    return found

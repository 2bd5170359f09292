"""What differs between two versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from asset_service.datasets._manifest import Entry, Manifest


@dataclass(frozen=True)
class Diff:
    """The difference of two versions, each list in the order of the paths."""

    added: Sequence[Entry]
    """Files whose path only the second version has, unless they were moved."""
    removed: Sequence[Entry]
    """Files whose path only the first version has, unless they were moved."""
    changed: Sequence[tuple[Entry, Entry]]
    """Paths with other bytes: the entry before and after."""
    moved: Sequence[tuple[Entry, Entry]]
    """The same bytes at another path: the entry before and after."""

    @property
    def is_empty(self) -> bool:
        """True if both have the same bytes at the same paths."""
        return not (self.added or self.removed or self.changed or self.moved)


def diff(before: Manifest, after: Manifest) -> Diff:
    """Compares two versions by the SHA-256 of their files; the ids of equal bytes do not matter."""
    old, new = before.entries, after.entries
    changed = [(old[path], new[path]) for path in new if path in old and old[path].sha256 != new[path].sha256]
    gone = [entry for path, entry in old.items() if path not in new]
    fresh = [entry for path, entry in new.items() if path not in old]
    by_bytes: dict[str, list[Entry]] = {}
    for entry in gone:
        by_bytes.setdefault(entry.sha256, []).append(entry)
    moved = [(by_bytes[entry.sha256].pop(0), entry) for entry in fresh if by_bytes.get(entry.sha256)]
    return Diff(
        _without(fresh, {entry.path: entry for _, entry in moved}),
        _without(gone, {entry.path: entry for entry, _ in moved}),
        changed,
        moved,
    )


def _without(entries: Sequence[Entry], moved: Mapping[str, Entry]) -> list[Entry]:
    return [entry for entry in entries if entry.path not in moved]

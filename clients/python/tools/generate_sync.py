"""Makes `asset_service/_sync` from `asset_service/_async`: `python generate_sync.py [TARGET_DIR]`.

The logic is written once, for asyncio. Without `await` and with other names it is the synchronous client. What really
differs is in `_io.py`, `_limited.py` and `_pull.py`, which both have of their own.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "src"
HEADER = "# Made from {name} by tools/generate_sync.py. Change that file.\n"

RULES = [
    (r"asset_service\._async", "asset_service._sync"),
    (r"hasattr\((\w+), \"__await__\"\)", "False"),
    (r"\basync (def|for|with) ", r"\1 "),
    (r"\bawait ", ""),
    (r"\bAwaitable\[(\w+)\]", r"\1"),
    (r"\bAsync(Iterator|Iterable|AssetClient|Download|UploadItem)\b", r"\1"),
    (r"\bStopAsyncIteration\b", "StopIteration"),
    (r"\b__a(iter|next|enter|exit)__\b", r"__\1__"),
    (r"\baclos(e|ing)\b", r"clos\1"),
    (r"\ba(next|iter)\(", r"\1("),
    (r"The asyncio client\.", "The synchronous client."),
    (r"A client of the Asset Service for asyncio\.", "A client of the Asset Service."),
]


def once(match: re.Match[str]) -> str:
    """An import without the names that have become equal or are not used any more."""
    names = dict.fromkeys(name.strip() for name in match[2].split(","))
    return f"{match[1]}{', '.join(name for name in names if name != 'Awaitable')}\n"


def to_sync(text: str, name: str) -> str:
    """The synchronous form of a module."""
    for pattern, replacement in RULES:
        text = re.sub(pattern, replacement, text)
    text = re.sub(r"^(from collections\.abc import )(.*)\n", once, text, flags=re.MULTILINE)
    # A branch that is never taken.
    text = re.sub(r"^( *)if False:\n\1    .*\n", "", text, flags=re.MULTILINE)
    return HEADER.format(name=f"_async/{name}") + text


def main(target: Path) -> None:
    """Writes the modules into `target`, the directory that has the package `asset_service`."""
    folder = target / "asset_service" / "_sync"
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted((SOURCE / "asset_service" / "_async").glob("*.py")):
        if path.name not in ("_io.py", "_limited.py", "_pull.py", "__init__.py"):
            (folder / path.name).write_text(to_sync(path.read_text(), path.name))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else SOURCE)

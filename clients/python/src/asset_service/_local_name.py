"""Safe names for local files."""

from __future__ import annotations

import re
import unicodedata

_MAX_BYTES = 255
"""Maximum file name of common file systems, in bytes of UTF-8."""
_MAX_EXTENSION_BYTES = 32
"""Maximum extension, with its dot, that is kept when a name is shortened."""

_UNSAFE = re.compile(
    '[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029<>:"/\\\\|?*\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]'
)
"""Control characters, separators, wildcards, `:`, line ends and bidirectional controls."""

_DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(?:\.|\s*$)", re.IGNORECASE)
"""Device names on Windows, with any extension."""


def local_file_name(name: str, file_id: str) -> str:
    """A safe name for a file in a local directory.

    The uploader chose the name, so it is not trusted: the result stays in the directory, is not hidden, is no command
    option, and has at most 255 bytes. The id if nothing remains.
    """
    return _shortened(_harmless(name)) or _shortened(_harmless(file_id)) or "file"


def _harmless(name: str) -> str:
    clean = _UNSAFE.sub("_", unicodedata.normalize("NFC", name))
    # A leading dot hides a file and a leading dash makes it an option; Windows drops trailing dots and spaces.
    clean = re.sub(r"^[.\-\s]+", "", clean)
    clean = re.sub(r"[.\s]+$", "", clean)
    return f"_{clean}" if _DEVICE.match(clean) else clean


def _shortened(name: str) -> str:
    """Shortens a name before a character that would be cut, and keeps its extension."""
    if len(name.encode()) <= _MAX_BYTES:
        return name
    found = re.search(r"\.[^.\s]+$", name)
    extension = found.group() if found and len(found.group().encode()) <= _MAX_EXTENSION_BYTES else ""
    room = _MAX_BYTES - len(extension.encode())
    stem = ""
    for mark in _clusters(name[: len(name) - len(extension)]):
        if len(stem.encode()) + len(mark.encode()) > room:
            break
        stem += mark
    stem = re.sub(r"[.\s]+$", "", stem)
    return stem + extension if stem else ""


def _clusters(text: str) -> list[str]:
    """The characters with their combining marks and joiners."""
    marks: list[str] = []
    for each in text:
        joined = marks and (
            unicodedata.combining(each) or each in "\u200c\u200d\ufe0e\ufe0f" or marks[-1].endswith("\u200d")
        )
        if joined:
            marks[-1] += each
        else:
            marks.append(each)
    return marks

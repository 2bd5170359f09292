"""The filesystem `asset://`."""

from __future__ import annotations

from asset_service.fs._drafts import DraftFileSystem
from asset_service.fs._reads import ReadingFileSystem


class AssetFileSystem(DraftFileSystem, ReadingFileSystem):
    """Reads files of the Asset Service by id, `asset://ID`, and in versions of datasets, `asset://DATASET@VERSION/path`.
    Drafts, `asset://DATASET@draft/path`, can be written too.

    Bytes come straight from the store by signed URLs, which are renewed before they expire and when the store refuses
    one; through the service where the store does not answer. It is synchronous and can be shared by threads, used after a
    fork and pickled. What is not found is a FileNotFoundError, what is not permitted a PermissionError, any other failure an
    AssetError.
    """

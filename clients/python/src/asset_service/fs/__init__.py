"""Files of the Asset Service for fsspec: `asset://ID`.

    import fsspec
    with fsspec.open("asset://k3v9x0q2m4n6p8r", endpoint="http://127.0.0.1:8080") as file: ...

Install `asset-service[fsspec]`; fsspec, and what is built on it (pandas, pyarrow, ...), then finds it by itself.
"""

from __future__ import annotations

from asset_service.fs._filesystem import AssetFileSystem

__all__ = ["AssetFileSystem"]

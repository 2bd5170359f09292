"""The synchronous client. Made from `_async` by `tools/generate_sync.py`, except `_io.py`, `_limited.py`
and `_pull.py`."""

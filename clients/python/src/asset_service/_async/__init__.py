"""The asyncio client. `tools/generate_sync.py` makes `_sync` from it."""

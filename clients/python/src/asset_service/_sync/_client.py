# Made from _async/_client.py by tools/generate_sync.py. Change that file.
"""The synchronous client."""

from __future__ import annotations

from asset_service._sync._client_lists import ListMethods
from asset_service._sync._client_reads import ReadMethods
from asset_service._sync._client_records import RecordMethods
from asset_service._sync._client_sessions import SessionMethods
from asset_service._sync._client_subscriptions import SubscriptionMethods
from asset_service._sync._client_uploads import UploadMethods


class AssetClient(
    UploadMethods, SessionMethods, ReadMethods, RecordMethods, ListMethods, SubscriptionMethods
):
    """A client of the Asset Service. It connects with the first call.

    Keep one client for the process, and close it at the end or use it as a context manager. It can be used by all threads,
    after a fork (every process opens its own connection) and pickled. Every failure of a call is an `AssetError`.
    """

"""The asyncio client."""

from __future__ import annotations

from asset_service._async._client_lists import ListMethods
from asset_service._async._client_reads import ReadMethods
from asset_service._async._client_records import RecordMethods
from asset_service._async._client_sessions import SessionMethods
from asset_service._async._client_subscriptions import SubscriptionMethods
from asset_service._async._client_uploads import UploadMethods


class AsyncAssetClient(
    UploadMethods, SessionMethods, ReadMethods, RecordMethods, ListMethods, SubscriptionMethods
):
    """A client of the Asset Service for asyncio. It connects with the first call.

    Keep one client for the process, and close it at the end or use it as a context manager. It can be used by all threads,
    after a fork (every process opens its own connection) and pickled. Every failure of a call is an `AssetError`.
    """

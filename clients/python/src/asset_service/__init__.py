"""Client of the Asset Service: files by id, synchronous and for asyncio."""

from __future__ import annotations

from importlib.metadata import version as _version

from asset_service._async._client import AsyncAssetClient
from asset_service._async._client_uploads import AsyncUploadItem
from asset_service._async._download import AsyncDownload
from asset_service._consume import Delivery, consume
from asset_service._consume_async import AsyncDelivery, consume_async
from asset_service._local_name import local_file_name
from asset_service._sync._client import AssetClient
from asset_service._sync._client_uploads import UploadItem
from asset_service._sync._download import Download
from asset_service._target import TLS
from asset_service.errors import (
    AssetError,
    CancelledError,
    ConflictError,
    DeadlineExceededError,
    FieldViolation,
    IntegrityError,
    InternalError,
    InvalidArgumentError,
    LimitError,
    NotFoundError,
    OutOfRangeError,
    PermissionDeniedError,
    PolicyError,
    PreconditionError,
    SourceError,
    TargetError,
    UnauthenticatedError,
    UnavailableError,
)
from asset_service.progress import Progress, ProgressBar
from asset_service.records import (
    AssetFile,
    Checkpoint,
    FileEvent,
    FilePage,
    FileResult,
    FileUrl,
    LegacyPath,
    ParkedEvent,
    StartedUpload,
    Subscription,
    UploadPart,
    UploadStatus,
    UrlResult,
)
from asset_service.retry import RetryPolicy
from asset_service.tokens import CachedToken, ClientCredentials, EnvironmentToken, IssuedToken, TokenSource

__version__ = _version("asset-service")

__all__ = [
    "TLS",
    "AssetClient",
    "AssetError",
    "AssetFile",
    "AsyncAssetClient",
    "AsyncDelivery",
    "AsyncDownload",
    "AsyncUploadItem",
    "CachedToken",
    "CancelledError",
    "Checkpoint",
    "ClientCredentials",
    "ConflictError",
    "DeadlineExceededError",
    "Delivery",
    "Download",
    "EnvironmentToken",
    "FieldViolation",
    "FileEvent",
    "FilePage",
    "FileResult",
    "FileUrl",
    "IntegrityError",
    "InternalError",
    "InvalidArgumentError",
    "IssuedToken",
    "LegacyPath",
    "LimitError",
    "NotFoundError",
    "OutOfRangeError",
    "ParkedEvent",
    "PermissionDeniedError",
    "PolicyError",
    "PreconditionError",
    "Progress",
    "ProgressBar",
    "RetryPolicy",
    "SourceError",
    "StartedUpload",
    "Subscription",
    "TargetError",
    "TokenSource",
    "UnauthenticatedError",
    "UnavailableError",
    "UploadItem",
    "UploadPart",
    "UploadStatus",
    "UrlResult",
    "consume",
    "consume_async",
    "local_file_name",
]

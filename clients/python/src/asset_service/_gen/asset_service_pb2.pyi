import datetime

from asset_service._gen import file_pb2 as _file_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.rpc import status_pb2 as _status_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import Any as _Any, ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class UploadTransport(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    UPLOAD_TRANSPORT_UNSPECIFIED: _ClassVar[UploadTransport]
    UPLOAD_TRANSPORT_THROUGH_SERVICE: _ClassVar[UploadTransport]
    UPLOAD_TRANSPORT_DIRECT: _ClassVar[UploadTransport]

class Disposition(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DISPOSITION_UNSPECIFIED: _ClassVar[Disposition]
    DISPOSITION_INLINE: _ClassVar[Disposition]
    DISPOSITION_ATTACHMENT: _ClassVar[Disposition]

class WatchStart(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WATCH_START_UNSPECIFIED: _ClassVar[WatchStart]
    WATCH_START_NOW: _ClassVar[WatchStart]
    WATCH_START_EARLIEST: _ClassVar[WatchStart]
    WATCH_START_EXISTING: _ClassVar[WatchStart]

class FileEventType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FILE_EVENT_TYPE_UNSPECIFIED: _ClassVar[FileEventType]
    FILE_EVENT_TYPE_CREATED: _ClassVar[FileEventType]
    FILE_EVENT_TYPE_UPDATED: _ClassVar[FileEventType]
    FILE_EVENT_TYPE_DELETED: _ClassVar[FileEventType]
    FILE_EVENT_TYPE_UNDELETED: _ClassVar[FileEventType]
    FILE_EVENT_TYPE_PURGED: _ClassVar[FileEventType]
UPLOAD_TRANSPORT_UNSPECIFIED: UploadTransport
UPLOAD_TRANSPORT_THROUGH_SERVICE: UploadTransport
UPLOAD_TRANSPORT_DIRECT: UploadTransport
DISPOSITION_UNSPECIFIED: Disposition
DISPOSITION_INLINE: Disposition
DISPOSITION_ATTACHMENT: Disposition
WATCH_START_UNSPECIFIED: WatchStart
WATCH_START_NOW: WatchStart
WATCH_START_EARLIEST: WatchStart
WATCH_START_EXISTING: WatchStart
FILE_EVENT_TYPE_UNSPECIFIED: FileEventType
FILE_EVENT_TYPE_CREATED: FileEventType
FILE_EVENT_TYPE_UPDATED: FileEventType
FILE_EVENT_TYPE_DELETED: FileEventType
FILE_EVENT_TYPE_UNDELETED: FileEventType
FILE_EVENT_TYPE_PURGED: FileEventType

class UploadRequest(_message.Message):
    __slots__ = ("upload_spec", "upload_id", "write_offset", "data", "checksums", "finish_write", "size_bytes")
    UPLOAD_SPEC_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    WRITE_OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    CHECKSUMS_FIELD_NUMBER: _ClassVar[int]
    FINISH_WRITE_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    upload_spec: UploadSpec
    upload_id: str
    write_offset: int
    data: ChecksummedData
    checksums: _file_pb2.Checksums
    finish_write: bool
    size_bytes: int
    def __init__(self, upload_spec: _Optional[_Union[UploadSpec, _Mapping[str, _Any]]] = ..., upload_id: _Optional[str] = ..., write_offset: _Optional[int] = ..., data: _Optional[_Union[ChecksummedData, _Mapping[str, _Any]]] = ..., checksums: _Optional[_Union[_file_pb2.Checksums, _Mapping[str, _Any]]] = ..., finish_write: _Optional[bool] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class UploadSpec(_message.Message):
    __slots__ = ("file", "size_bytes", "request_id")
    FILE_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    file: _file_pb2.File
    size_bytes: int
    request_id: str
    def __init__(self, file: _Optional[_Union[_file_pb2.File, _Mapping[str, _Any]]] = ..., size_bytes: _Optional[int] = ..., request_id: _Optional[str] = ...) -> None: ...

class ChecksummedData(_message.Message):
    __slots__ = ("content", "crc32c")
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    CRC32C_FIELD_NUMBER: _ClassVar[int]
    content: bytes
    crc32c: int
    def __init__(self, content: _Optional[bytes] = ..., crc32c: _Optional[int] = ...) -> None: ...

class UploadResponse(_message.Message):
    __slots__ = ("persisted_size", "file")
    PERSISTED_SIZE_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    persisted_size: int
    file: _file_pb2.File
    def __init__(self, persisted_size: _Optional[int] = ..., file: _Optional[_Union[_file_pb2.File, _Mapping[str, _Any]]] = ...) -> None: ...

class StartUploadRequest(_message.Message):
    __slots__ = ("upload_spec", "transport")
    UPLOAD_SPEC_FIELD_NUMBER: _ClassVar[int]
    TRANSPORT_FIELD_NUMBER: _ClassVar[int]
    upload_spec: UploadSpec
    transport: UploadTransport
    def __init__(self, upload_spec: _Optional[_Union[UploadSpec, _Mapping[str, _Any]]] = ..., transport: _Optional[_Union[UploadTransport, str]] = ...) -> None: ...

class StartUploadResponse(_message.Message):
    __slots__ = ("upload_id", "expire_time", "part_size_bytes")
    UPLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    PART_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    upload_id: str
    expire_time: _timestamp_pb2.Timestamp
    part_size_bytes: int
    def __init__(self, upload_id: _Optional[str] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping[str, _Any]]] = ..., part_size_bytes: _Optional[int] = ...) -> None: ...

class UploadChunkRequest(_message.Message):
    __slots__ = ("upload_id", "write_offset", "data", "checksums", "finish_write", "size_bytes")
    UPLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    WRITE_OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    CHECKSUMS_FIELD_NUMBER: _ClassVar[int]
    FINISH_WRITE_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    upload_id: str
    write_offset: int
    data: ChecksummedData
    checksums: _file_pb2.Checksums
    finish_write: bool
    size_bytes: int
    def __init__(self, upload_id: _Optional[str] = ..., write_offset: _Optional[int] = ..., data: _Optional[_Union[ChecksummedData, _Mapping[str, _Any]]] = ..., checksums: _Optional[_Union[_file_pb2.Checksums, _Mapping[str, _Any]]] = ..., finish_write: _Optional[bool] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class UploadChunkResponse(_message.Message):
    __slots__ = ("persisted_size", "file")
    PERSISTED_SIZE_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    persisted_size: int
    file: _file_pb2.File
    def __init__(self, persisted_size: _Optional[int] = ..., file: _Optional[_Union[_file_pb2.File, _Mapping[str, _Any]]] = ...) -> None: ...

class GetUploadRequest(_message.Message):
    __slots__ = ("upload_id",)
    UPLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    upload_id: str
    def __init__(self, upload_id: _Optional[str] = ...) -> None: ...

class GetUploadResponse(_message.Message):
    __slots__ = ("persisted_size", "file", "expire_time", "upload_spec", "create_time", "transport", "part_size_bytes", "stored_part_numbers")
    PERSISTED_SIZE_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_SPEC_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    TRANSPORT_FIELD_NUMBER: _ClassVar[int]
    PART_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    STORED_PART_NUMBERS_FIELD_NUMBER: _ClassVar[int]
    persisted_size: int
    file: _file_pb2.File
    expire_time: _timestamp_pb2.Timestamp
    upload_spec: UploadSpec
    create_time: _timestamp_pb2.Timestamp
    transport: UploadTransport
    part_size_bytes: int
    stored_part_numbers: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, persisted_size: _Optional[int] = ..., file: _Optional[_Union[_file_pb2.File, _Mapping[str, _Any]]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping[str, _Any]]] = ..., upload_spec: _Optional[_Union[UploadSpec, _Mapping[str, _Any]]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping[str, _Any]]] = ..., transport: _Optional[_Union[UploadTransport, str]] = ..., part_size_bytes: _Optional[int] = ..., stored_part_numbers: _Optional[_Iterable[int]] = ...) -> None: ...

class SignUploadPartsRequest(_message.Message):
    __slots__ = ("upload_id", "part_numbers")
    UPLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    PART_NUMBERS_FIELD_NUMBER: _ClassVar[int]
    upload_id: str
    part_numbers: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, upload_id: _Optional[str] = ..., part_numbers: _Optional[_Iterable[int]] = ...) -> None: ...

class SignedPart(_message.Message):
    __slots__ = ("part_number", "url", "headers")
    class HeadersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PART_NUMBER_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    part_number: int
    url: str
    headers: _containers.ScalarMap[str, str]
    def __init__(self, part_number: _Optional[int] = ..., url: _Optional[str] = ..., headers: _Optional[_Mapping[str, str]] = ...) -> None: ...

class SignUploadPartsResponse(_message.Message):
    __slots__ = ("parts", "expire_time")
    PARTS_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    parts: _containers.RepeatedCompositeFieldContainer[SignedPart]
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, parts: _Optional[_Iterable[_Union[SignedPart, _Mapping[str, _Any]]]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping[str, _Any]]] = ...) -> None: ...

class CompleteUploadRequest(_message.Message):
    __slots__ = ("upload_id", "checksums")
    UPLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    CHECKSUMS_FIELD_NUMBER: _ClassVar[int]
    upload_id: str
    checksums: _file_pb2.Checksums
    def __init__(self, upload_id: _Optional[str] = ..., checksums: _Optional[_Union[_file_pb2.Checksums, _Mapping[str, _Any]]] = ...) -> None: ...

class CompleteUploadResponse(_message.Message):
    __slots__ = ("file",)
    FILE_FIELD_NUMBER: _ClassVar[int]
    file: _file_pb2.File
    def __init__(self, file: _Optional[_Union[_file_pb2.File, _Mapping[str, _Any]]] = ...) -> None: ...

class CancelUploadRequest(_message.Message):
    __slots__ = ("upload_id",)
    UPLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    upload_id: str
    def __init__(self, upload_id: _Optional[str] = ...) -> None: ...

class CancelUploadResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetFileUrlRequest(_message.Message):
    __slots__ = ("file_id", "legacy_path", "ttl", "disposition", "download_name", "variant", "accept")
    FILE_ID_FIELD_NUMBER: _ClassVar[int]
    LEGACY_PATH_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    DISPOSITION_FIELD_NUMBER: _ClassVar[int]
    DOWNLOAD_NAME_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_FIELD_NUMBER: _ClassVar[int]
    file_id: str
    legacy_path: str
    ttl: _duration_pb2.Duration
    disposition: Disposition
    download_name: str
    variant: str
    accept: str
    def __init__(self, file_id: _Optional[str] = ..., legacy_path: _Optional[str] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping[str, _Any]]] = ..., disposition: _Optional[_Union[Disposition, str]] = ..., download_name: _Optional[str] = ..., variant: _Optional[str] = ..., accept: _Optional[str] = ...) -> None: ...

class GetFileUrlResponse(_message.Message):
    __slots__ = ("url", "expire_time", "content_type", "size_bytes")
    URL_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    url: str
    expire_time: _timestamp_pb2.Timestamp
    content_type: str
    size_bytes: int
    def __init__(self, url: _Optional[str] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping[str, _Any]]] = ..., content_type: _Optional[str] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class BatchGetFileUrlsRequest(_message.Message):
    __slots__ = ("requests",)
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[GetFileUrlRequest]
    def __init__(self, requests: _Optional[_Iterable[_Union[GetFileUrlRequest, _Mapping[str, _Any]]]] = ...) -> None: ...

class BatchGetFileUrlsResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[FileUrlResult]
    def __init__(self, results: _Optional[_Iterable[_Union[FileUrlResult, _Mapping[str, _Any]]]] = ...) -> None: ...

class FileUrlResult(_message.Message):
    __slots__ = ("response", "error")
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    response: GetFileUrlResponse
    error: _status_pb2.Status
    def __init__(self, response: _Optional[_Union[GetFileUrlResponse, _Mapping[str, _Any]]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping[str, _Any]]] = ...) -> None: ...

class DownloadFileRequest(_message.Message):
    __slots__ = ("file_id", "legacy_path", "read_offset", "read_limit", "variant", "accept")
    FILE_ID_FIELD_NUMBER: _ClassVar[int]
    LEGACY_PATH_FIELD_NUMBER: _ClassVar[int]
    READ_OFFSET_FIELD_NUMBER: _ClassVar[int]
    READ_LIMIT_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_FIELD_NUMBER: _ClassVar[int]
    file_id: str
    legacy_path: str
    read_offset: int
    read_limit: int
    variant: str
    accept: str
    def __init__(self, file_id: _Optional[str] = ..., legacy_path: _Optional[str] = ..., read_offset: _Optional[int] = ..., read_limit: _Optional[int] = ..., variant: _Optional[str] = ..., accept: _Optional[str] = ...) -> None: ...

class DownloadFileResponse(_message.Message):
    __slots__ = ("data", "file", "content_type", "size_bytes")
    DATA_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    data: ChecksummedData
    file: _file_pb2.File
    content_type: str
    size_bytes: int
    def __init__(self, data: _Optional[_Union[ChecksummedData, _Mapping[str, _Any]]] = ..., file: _Optional[_Union[_file_pb2.File, _Mapping[str, _Any]]] = ..., content_type: _Optional[str] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class GetFileRequest(_message.Message):
    __slots__ = ("file_id", "legacy_path")
    FILE_ID_FIELD_NUMBER: _ClassVar[int]
    LEGACY_PATH_FIELD_NUMBER: _ClassVar[int]
    file_id: str
    legacy_path: str
    def __init__(self, file_id: _Optional[str] = ..., legacy_path: _Optional[str] = ...) -> None: ...

class GetFileResponse(_message.Message):
    __slots__ = ("file", "thumbhash", "variants")
    FILE_FIELD_NUMBER: _ClassVar[int]
    THUMBHASH_FIELD_NUMBER: _ClassVar[int]
    VARIANTS_FIELD_NUMBER: _ClassVar[int]
    file: _file_pb2.File
    thumbhash: bytes
    variants: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, file: _Optional[_Union[_file_pb2.File, _Mapping[str, _Any]]] = ..., thumbhash: _Optional[bytes] = ..., variants: _Optional[_Iterable[str]] = ...) -> None: ...

class BatchGetFilesRequest(_message.Message):
    __slots__ = ("file_ids",)
    FILE_IDS_FIELD_NUMBER: _ClassVar[int]
    file_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, file_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class BatchGetFilesResponse(_message.Message):
    __slots__ = ("files", "missing_file_ids")
    FILES_FIELD_NUMBER: _ClassVar[int]
    MISSING_FILE_IDS_FIELD_NUMBER: _ClassVar[int]
    files: _containers.RepeatedCompositeFieldContainer[_file_pb2.File]
    missing_file_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, files: _Optional[_Iterable[_Union[_file_pb2.File, _Mapping[str, _Any]]]] = ..., missing_file_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class RelationFilter(_message.Message):
    __slots__ = ("name", "id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    id: str
    def __init__(self, name: _Optional[str] = ..., id: _Optional[str] = ...) -> None: ...

class FileFilter(_message.Message):
    __slots__ = ("owner", "usage", "relation", "content_type", "create_time_from", "create_time_to")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    RELATION_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FROM_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_TO_FIELD_NUMBER: _ClassVar[int]
    owner: str
    usage: str
    relation: RelationFilter
    content_type: str
    create_time_from: _timestamp_pb2.Timestamp
    create_time_to: _timestamp_pb2.Timestamp
    def __init__(self, owner: _Optional[str] = ..., usage: _Optional[str] = ..., relation: _Optional[_Union[RelationFilter, _Mapping[str, _Any]]] = ..., content_type: _Optional[str] = ..., create_time_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping[str, _Any]]] = ..., create_time_to: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping[str, _Any]]] = ...) -> None: ...

class ListFilesRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "filter", "show_deleted")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    SHOW_DELETED_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    filter: FileFilter
    show_deleted: bool
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., filter: _Optional[_Union[FileFilter, _Mapping[str, _Any]]] = ..., show_deleted: _Optional[bool] = ...) -> None: ...

class ListFilesResponse(_message.Message):
    __slots__ = ("files", "next_page_token")
    FILES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    files: _containers.RepeatedCompositeFieldContainer[_file_pb2.File]
    next_page_token: str
    def __init__(self, files: _Optional[_Iterable[_Union[_file_pb2.File, _Mapping[str, _Any]]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateMetadataRequest(_message.Message):
    __slots__ = ("file", "update_mask")
    FILE_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    file: _file_pb2.File
    update_mask: _field_mask_pb2.FieldMask
    def __init__(self, file: _Optional[_Union[_file_pb2.File, _Mapping[str, _Any]]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping[str, _Any]]] = ...) -> None: ...

class UpdateMetadataResponse(_message.Message):
    __slots__ = ("file",)
    FILE_FIELD_NUMBER: _ClassVar[int]
    file: _file_pb2.File
    def __init__(self, file: _Optional[_Union[_file_pb2.File, _Mapping[str, _Any]]] = ...) -> None: ...

class DeleteFileRequest(_message.Message):
    __slots__ = ("file_id", "etag")
    FILE_ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    file_id: str
    etag: str
    def __init__(self, file_id: _Optional[str] = ..., etag: _Optional[str] = ...) -> None: ...

class DeleteFileResponse(_message.Message):
    __slots__ = ("file",)
    FILE_FIELD_NUMBER: _ClassVar[int]
    file: _file_pb2.File
    def __init__(self, file: _Optional[_Union[_file_pb2.File, _Mapping[str, _Any]]] = ...) -> None: ...

class UndeleteFileRequest(_message.Message):
    __slots__ = ("file_id", "etag")
    FILE_ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    file_id: str
    etag: str
    def __init__(self, file_id: _Optional[str] = ..., etag: _Optional[str] = ...) -> None: ...

class UndeleteFileResponse(_message.Message):
    __slots__ = ("file",)
    FILE_FIELD_NUMBER: _ClassVar[int]
    file: _file_pb2.File
    def __init__(self, file: _Optional[_Union[_file_pb2.File, _Mapping[str, _Any]]] = ...) -> None: ...

class WatchFilesRequest(_message.Message):
    __slots__ = ("cursor", "filter")
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    cursor: str
    filter: FileFilter
    def __init__(self, cursor: _Optional[str] = ..., filter: _Optional[_Union[FileFilter, _Mapping[str, _Any]]] = ..., **kwargs: _Any) -> None: ...

class WatchFilesResponse(_message.Message):
    __slots__ = ("event", "checkpoint", "cursor")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    event: FileEvent
    checkpoint: Checkpoint
    cursor: str
    def __init__(self, event: _Optional[_Union[FileEvent, _Mapping[str, _Any]]] = ..., checkpoint: _Optional[_Union[Checkpoint, _Mapping[str, _Any]]] = ..., cursor: _Optional[str] = ...) -> None: ...

class FileEvent(_message.Message):
    __slots__ = ("event_id", "type", "file", "event_time")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    type: FileEventType
    file: _file_pb2.File
    event_time: _timestamp_pb2.Timestamp
    def __init__(self, event_id: _Optional[str] = ..., type: _Optional[_Union[FileEventType, str]] = ..., file: _Optional[_Union[_file_pb2.File, _Mapping[str, _Any]]] = ..., event_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping[str, _Any]]] = ...) -> None: ...

class Checkpoint(_message.Message):
    __slots__ = ("existing_done",)
    EXISTING_DONE_FIELD_NUMBER: _ClassVar[int]
    existing_done: bool
    def __init__(self, existing_done: _Optional[bool] = ...) -> None: ...

class PullEventsRequest(_message.Message):
    __slots__ = ("subscription", "filter", "max_events", "lease", "max_attempts", "wait")
    SUBSCRIPTION_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    MAX_EVENTS_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    MAX_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    subscription: str
    filter: FileFilter
    max_events: int
    lease: _duration_pb2.Duration
    max_attempts: int
    wait: _duration_pb2.Duration
    def __init__(self, subscription: _Optional[str] = ..., filter: _Optional[_Union[FileFilter, _Mapping[str, _Any]]] = ..., max_events: _Optional[int] = ..., lease: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping[str, _Any]]] = ..., max_attempts: _Optional[int] = ..., wait: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping[str, _Any]]] = ..., **kwargs: _Any) -> None: ...

class PullEventsResponse(_message.Message):
    __slots__ = ("deliveries",)
    DELIVERIES_FIELD_NUMBER: _ClassVar[int]
    deliveries: _containers.RepeatedCompositeFieldContainer[EventDelivery]
    def __init__(self, deliveries: _Optional[_Iterable[_Union[EventDelivery, _Mapping[str, _Any]]]] = ...) -> None: ...

class EventDelivery(_message.Message):
    __slots__ = ("event", "delivery_token", "attempt", "lease_expire_time")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    LEASE_EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    event: FileEvent
    delivery_token: str
    attempt: int
    lease_expire_time: _timestamp_pb2.Timestamp
    def __init__(self, event: _Optional[_Union[FileEvent, _Mapping[str, _Any]]] = ..., delivery_token: _Optional[str] = ..., attempt: _Optional[int] = ..., lease_expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping[str, _Any]]] = ...) -> None: ...

class AckEventRequest(_message.Message):
    __slots__ = ("subscription", "delivery_token")
    SUBSCRIPTION_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_TOKEN_FIELD_NUMBER: _ClassVar[int]
    subscription: str
    delivery_token: str
    def __init__(self, subscription: _Optional[str] = ..., delivery_token: _Optional[str] = ...) -> None: ...

class AckEventResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RejectEventRequest(_message.Message):
    __slots__ = ("subscription", "delivery_token", "reason")
    SUBSCRIPTION_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_TOKEN_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    subscription: str
    delivery_token: str
    reason: str
    def __init__(self, subscription: _Optional[str] = ..., delivery_token: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RejectEventResponse(_message.Message):
    __slots__ = ("parked",)
    PARKED_FIELD_NUMBER: _ClassVar[int]
    parked: bool
    def __init__(self, parked: _Optional[bool] = ...) -> None: ...

class ExtendEventLeaseRequest(_message.Message):
    __slots__ = ("subscription", "delivery_token", "lease")
    SUBSCRIPTION_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_TOKEN_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    subscription: str
    delivery_token: str
    lease: _duration_pb2.Duration
    def __init__(self, subscription: _Optional[str] = ..., delivery_token: _Optional[str] = ..., lease: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping[str, _Any]]] = ...) -> None: ...

class ExtendEventLeaseResponse(_message.Message):
    __slots__ = ("lease_expire_time",)
    LEASE_EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    lease_expire_time: _timestamp_pb2.Timestamp
    def __init__(self, lease_expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping[str, _Any]]] = ...) -> None: ...

class ListSubscriptionsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListSubscriptionsResponse(_message.Message):
    __slots__ = ("subscriptions",)
    SUBSCRIPTIONS_FIELD_NUMBER: _ClassVar[int]
    subscriptions: _containers.RepeatedCompositeFieldContainer[Subscription]
    def __init__(self, subscriptions: _Optional[_Iterable[_Union[Subscription, _Mapping[str, _Any]]]] = ...) -> None: ...

class Subscription(_message.Message):
    __slots__ = ("name", "filter", "create_time", "unacknowledged_events", "parked_events", "cursor")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UNACKNOWLEDGED_EVENTS_FIELD_NUMBER: _ClassVar[int]
    PARKED_EVENTS_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    name: str
    filter: FileFilter
    create_time: _timestamp_pb2.Timestamp
    unacknowledged_events: int
    parked_events: int
    cursor: str
    def __init__(self, name: _Optional[str] = ..., filter: _Optional[_Union[FileFilter, _Mapping[str, _Any]]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping[str, _Any]]] = ..., unacknowledged_events: _Optional[int] = ..., parked_events: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class ListParkedEventsRequest(_message.Message):
    __slots__ = ("subscription",)
    SUBSCRIPTION_FIELD_NUMBER: _ClassVar[int]
    subscription: str
    def __init__(self, subscription: _Optional[str] = ...) -> None: ...

class ListParkedEventsResponse(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[ParkedEvent]
    def __init__(self, events: _Optional[_Iterable[_Union[ParkedEvent, _Mapping[str, _Any]]]] = ...) -> None: ...

class ParkedEvent(_message.Message):
    __slots__ = ("event_id", "type", "file_id", "reason", "attempts", "park_time")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    FILE_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    PARK_TIME_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    type: FileEventType
    file_id: str
    reason: str
    attempts: int
    park_time: _timestamp_pb2.Timestamp
    def __init__(self, event_id: _Optional[str] = ..., type: _Optional[_Union[FileEventType, str]] = ..., file_id: _Optional[str] = ..., reason: _Optional[str] = ..., attempts: _Optional[int] = ..., park_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping[str, _Any]]] = ...) -> None: ...

class ReplayParkedEventsRequest(_message.Message):
    __slots__ = ("subscription", "event_ids")
    SUBSCRIPTION_FIELD_NUMBER: _ClassVar[int]
    EVENT_IDS_FIELD_NUMBER: _ClassVar[int]
    subscription: str
    event_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, subscription: _Optional[str] = ..., event_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class ReplayParkedEventsResponse(_message.Message):
    __slots__ = ("replayed_events",)
    REPLAYED_EVENTS_FIELD_NUMBER: _ClassVar[int]
    replayed_events: int
    def __init__(self, replayed_events: _Optional[int] = ...) -> None: ...

class DeleteSubscriptionRequest(_message.Message):
    __slots__ = ("subscription",)
    SUBSCRIPTION_FIELD_NUMBER: _ClassVar[int]
    subscription: str
    def __init__(self, subscription: _Optional[str] = ...) -> None: ...

class DeleteSubscriptionResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

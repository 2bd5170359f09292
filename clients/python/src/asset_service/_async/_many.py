"""Calls for many files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from asset_service._arguments import check_ids
from asset_service._async._caller import Caller
from asset_service._gen import asset_service_pb2 as pb
from asset_service._gen import methods
from asset_service._messages import to_file, to_url
from asset_service._rpc_errors import from_status
from asset_service.errors import AssetError, invalid_option, make_error
from asset_service.records import FileRef, FileResult, LegacyPath, UrlResult
from asset_service.retry import CallOptions

_BATCH = 1000
"""Maximum number of files in one call."""


async def get_many(caller: Caller, ids: Iterable[str], options: CallOptions) -> Sequence[FileResult]:
    """The records of many files, in the order of `ids`."""
    wanted = check_ids("ids", ids)
    found: dict[str, FileResult] = {}
    left = list(dict.fromkeys(wanted))
    size = _BATCH
    while left:
        batch = left[:size]
        try:
            answer = await caller.call(methods.BATCH_GET_FILES, pb.BatchGetFilesRequest(file_ids=batch), options)
        except AssetError as error:
            if error.reason != "MESSAGE_TOO_LARGE" or len(batch) == 1:
                raise
            said = error.metadata.get("max_files", "")
            size = int(said) if said.isdigit() and 1 <= int(said) < len(batch) else (len(batch) + 1) // 2
            continue
        for file in answer.files:
            found[file.id] = FileResult(file=to_file(file), id=file.id)
        for file_id in answer.missing_file_ids:
            found[file_id] = FileResult(error=_not_found(file_id), id=file_id)
        rest = [each for each in left if each not in found]
        if len(rest) == len(left):
            raise make_error("INTERNAL", "the service left out the answers of a batch")
        left = rest
    return [found[each] for each in wanted]


async def get_urls(
    caller: Caller,
    refs: Iterable[FileRef],
    request_for: Callable[[FileRef], pb.GetFileUrlRequest],
    options: CallOptions,
) -> Sequence[UrlResult]:
    """The URLs of many files, in the order of `refs`."""
    if isinstance(refs, (str, bytes, LegacyPath)):
        raise invalid_option("files must be a list of ids")
    wanted = list(refs)
    requests = [request_for(each) for each in wanted]
    results: list[UrlResult] = []
    while len(results) < len(wanted):
        start = len(results)
        batch = requests[start : start + _BATCH]
        answer = await caller.call(methods.BATCH_GET_FILE_URLS, pb.BatchGetFileUrlsRequest(requests=batch), options)
        if len(answer.results) != len(batch):
            raise make_error("INTERNAL", "the service left out the answers of a batch")
        for index, result in enumerate(answer.results):
            ref = wanted[start + index]
            if result.WhichOneof("result") == "response":
                results.append(UrlResult(ref, url=to_url(result.response)))
                continue
            error = from_status(result.error)
            # The response was full: the next batch starts with this file.
            if error.reason == "MESSAGE_TOO_LARGE" and index > 0:
                break
            results.append(UrlResult(ref, error=error))
    return results


def _not_found(file_id: str) -> AssetError:
    return make_error(
        "NOT_FOUND",
        f"there is no file {file_id}, or the caller may not read it",
        reason="FILE_NOT_FOUND",
        metadata={"file_id": file_id},
    )

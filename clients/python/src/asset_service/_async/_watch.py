"""Watches of changes."""

from __future__ import annotations

from asset_service._async._caller import Caller
from asset_service._async._io import Stream, aclosing, sleep
from asset_service._gen import asset_service_pb2 as pb
from asset_service._gen import methods
from asset_service._messages import to_event
from asset_service.errors import AssetError, no_answer
from asset_service.records import Checkpoint, FileEvent
from asset_service.retry import CallOptions


async def watch_files(
    caller: Caller, request: pb.WatchFilesRequest, options: CallOptions
) -> Stream[FileEvent | Checkpoint]:
    """The messages of a watch. After a lost connection it continues after the last one."""
    retries = caller.retries(options, float("inf"))
    while True:
        attempt = retries.next()
        try:
            async with aclosing(
                caller.stream(methods.WATCH_FILES, request, attempt, pb.WatchFilesResponse.FromString)
            ) as messages:
                async for message in messages:
                    event = to_event(message)
                    retries.progressed()
                    request.cursor = message.cursor
                    if event is not None:
                        yield event
            # It ends by itself only with an error.
            raise no_answer("an error at the end of a watch")
        except AssetError as error:
            delay = retries.delay(error)
        await sleep(delay)

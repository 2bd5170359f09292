# Made from _async/_client_lists.py by tools/generate_sync.py. Change that file.
"""Lists and watches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from asset_service._arguments import Timeout
from asset_service._sync import _watch
from asset_service._sync._client_base import ClientBase
from asset_service._sync._io import closing
from asset_service._gen import methods
from asset_service._messages import to_file
from asset_service._requests import to_filter, to_list_request, to_watch_request
from asset_service.records import AssetFile, Checkpoint, FileEvent, FilePage, Start


class ListMethods(ClientBase):
    """Finds files by conditions, now and as they change."""

    def list(
        self,
        *,
        owner: str | None = None,
        usage: str | None = None,
        relation: tuple[str, str] | None = None,
        content_type: str | None = None,
        created_from: datetime | None = None,
        created_before: datetime | None = None,
        show_deleted: bool = False,
        page_size: int | None = None,
        timeout: Timeout = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[AssetFile]:
        """All files that meet every given condition, newest first. Fetches pages as they are consumed.

        relation: name of the relation and id of the target. content_type: `image/png`, or `image/*` for every image.
        """
        token: str | None = None
        while True:
            page = self.list_page(
                owner=owner,
                usage=usage,
                relation=relation,
                content_type=content_type,
                created_from=created_from,
                created_before=created_before,
                show_deleted=show_deleted,
                page_size=page_size,
                page_token=token,
                timeout=timeout,
                headers=headers,
            )
            for file in page.files:
                yield file
            token = page.next_page_token
            if token is None:
                return

    def list_page(
        self,
        *,
        owner: str | None = None,
        usage: str | None = None,
        relation: tuple[str, str] | None = None,
        content_type: str | None = None,
        created_from: datetime | None = None,
        created_before: datetime | None = None,
        show_deleted: bool = False,
        page_size: int | None = None,
        page_token: str | None = None,
        timeout: Timeout = None,
        headers: Mapping[str, str] | None = None,
    ) -> FilePage:
        """One page of the files that meet the conditions of `list`."""
        request = to_list_request(
            owner=owner,
            usage=usage,
            relation=relation,
            content_type=content_type,
            created_from=created_from,
            created_before=created_before,
            show_deleted=show_deleted,
            page_size=page_size,
            page_token=page_token,
        )
        page = self._caller.call(methods.LIST_FILES, request, self._options.call(timeout, headers))
        return FilePage([to_file(each) for each in page.files], page.next_page_token or None)

    def watch(
        self,
        *,
        start: Start = "now",
        cursor: str | None = None,
        owner: str | None = None,
        usage: str | None = None,
        relation: tuple[str, str] | None = None,
        content_type: str | None = None,
        created_from: datetime | None = None,
        created_before: datetime | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[FileEvent | Checkpoint]:
        """Every change of the files that meet the conditions of `list`, in commit order per file, without end.

        After a lost connection it continues behind the last message; an event may come twice (`event_id`). Keep the `cursor`
        of the last message to continue later; CURSOR_EXPIRED means to start again with "existing".

        start: with changes after the call, the "earliest" change that is kept, or every "existing" file.
        cursor: continues a watch with the same conditions; `start` has no effect then.
        """
        wanted = to_filter(owner, usage, relation, content_type, created_from, created_before)
        request = to_watch_request(start, cursor, wanted)
        with closing(_watch.watch_files(self._caller, request, self._options.call(0, headers))) as events:
            for event in events:
                yield event

"""Records, lists, URLs, deletions."""

from __future__ import annotations

import urllib.request
import uuid
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from asset_service import AssetError, ConflictError, InvalidArgumentError, LegacyPath, NotFoundError


@pytest.mark.stores
def test_updates_what_is_given(client: Any) -> None:
    file = client.upload(b"text", name="a.txt", owner="ann")
    changed = client.update(file.id, name="b.txt", etag=file.etag)
    assert (changed.name, changed.owner) == ("b.txt", "ann")
    with pytest.raises(ConflictError) as caught:
        client.update(file.id, name="c.txt", etag=file.etag)
    assert (caught.value.code, caught.value.reason) == ("ABORTED", "ETAG_MISMATCH")
    assert caught.value.metadata == {"file_id": file.id}
    cleared = client.update(file.id, mask=["owner"])
    assert (cleared.name, cleared.owner) == ("b.txt", "")
    wrong: dict[str, Any]
    for wrong in ({}, {"mask": []}, {"mask": "name"}, {"name": 3}, {"attributes": {"a": object()}}, {"relations": []}):
        with pytest.raises(InvalidArgumentError) as invalid:
            client.update(file.id, **wrong)
        assert invalid.value.reason == "OPTION_INVALID"
    with pytest.raises(InvalidArgumentError) as invalid:
        client.update(file.id, mask=["etag"])
    assert invalid.value.reason == "FIELD_NOT_WRITABLE"


def test_attributes_keep_their_values(client: Any, settings: dict[str, str]) -> None:
    if "ASSET_CATALOG" in settings:
        pytest.skip("this catalog has its own fields")
    given = {"n": 3, "f": 0.5, "t": "ä", "b": True, "l": [1, {"x": None}], "d": {"e": {}}, "none": []}
    file = client.upload(b"", attributes=given, relations={"project": ["p1", "p2"]})
    assert client.get(file.id).attributes == given
    assert client.get(file.id).relations == {"project": ("p1", "p2")}
    changed = client.update(file.id, attributes={"n": None, "t": "new"}, relations={"project": []})
    assert (changed.attributes["t"], changed.attributes.get("n"), changed.attributes["f"]) == ("new", None, 0.5)
    assert not changed.relations.get("project")


@pytest.mark.stores
def test_deletes_and_restores(client: Any) -> None:
    file = client.upload(b"text")
    deleted = client.delete(file.id)
    assert deleted.delete_time is not None and deleted.purge_time is not None
    with pytest.raises(NotFoundError) as caught:
        client.download_bytes(file.id)
    assert caught.value.reason == "FILE_DELETED"
    assert client.undelete(file.id).delete_time is None
    assert client.download_bytes(file.id) == b"text"
    results = client.delete_many([file.id, "0"])
    assert results[0].unwrap().id == file.id
    assert isinstance(results[1].error, NotFoundError)


@pytest.mark.stores
def test_lists_pages(client: Any) -> None:
    owner = str(uuid.uuid4())
    ids = [client.upload(b"%d" % number, owner=owner, name=f"{number}.txt").id for number in range(5)]
    assert [file.id for file in client.list(owner=owner, page_size=2)] == ids[::-1]
    page = client.list_page(owner=owner, page_size=2)
    assert [file.id for file in page.files] == ids[:2:-1]
    following = client.list_page(owner=owner, page_size=2, page_token=page.next_page_token)
    assert [file.id for file in following.files] == ids[2:0:-1]
    now = datetime.now(timezone.utc)
    assert list(client.list(owner=owner, created_from=now + timedelta(hours=1))) == []
    assert len(list(client.list(owner=owner, created_before=now + timedelta(hours=1), content_type="text/*"))) == 5
    with pytest.raises(InvalidArgumentError) as caught:
        client.list_page(owner="another", page_token=page.next_page_token)
    assert caught.value.reason == "PAGE_TOKEN_INVALID"
    for wrong in (
        {"page_size": -1},
        {"created_from": datetime(2026, 1, 1)},
        {"relation": ("project",)},
        {"owner": b"ann"},
        {"owner": "\ud800"},
    ):
        with pytest.raises(InvalidArgumentError):
            client.list_page(**wrong)


@pytest.mark.stores
def test_urls(client: Any) -> None:
    file = client.upload(b"text", name="a.txt")
    url = client.url(file.id, ttl=timedelta(minutes=5), disposition="inline", download_name="b.txt")
    with urllib.request.urlopen(url.url) as answer:
        assert answer.read() == b"text"
        assert answer.headers["content-disposition"].startswith("inline")
    assert (url.size_bytes, url.content_type.split(";")[0]) == (4, "text/plain")
    results = client.urls([file.id, "0", LegacyPath("files/none"), file.id])
    assert [result.url is not None for result in results] == [True, False, False, True]
    assert results[1].error.reason == "FILE_NOT_FOUND"
    with pytest.raises(NotFoundError):
        results[1].unwrap()
    # In one window of half an hour the URLs are equal; a window may end in between.
    many = client.urls([file.id] * 2500, ttl=3600)
    assert len({result.unwrap().url for result in many}) <= 2
    for wrong in ({"ttl": -1}, {"ttl": 10**30}, {"disposition": "both"}, {"download_name": 3}):
        with pytest.raises(InvalidArgumentError):
            client.url(file.id, **wrong)
    with pytest.raises(InvalidArgumentError):
        client.urls(file.id)


def test_many_records(client: Any) -> None:
    files = [client.upload(b"%d" % number) for number in range(3)]
    wanted = [files[2].id, "0", files[0].id, files[2].id, *(f"x{number}" for number in range(1500))]
    results = client.get_many(wanted)
    assert [result.id for result in results] == wanted
    assert [result.file for result in results[:4]] == [files[2], None, files[0], files[2]]
    assert {result.error.reason for result in results if result.error} == {"FILE_NOT_FOUND"}
    with pytest.raises(InvalidArgumentError):
        client.get_many("abc")


def test_fields_that_break_a_rule_are_named(client: Any) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        client.upload(b"", name="a\nb")
    assert caught.value.reason == "FIELD_INVALID"
    assert [each.field for each in caught.value.field_violations] == ["upload_spec.file.name"]
    with pytest.raises(AssetError) as missing:
        client.get("")
    assert missing.value.code == "INVALID_ARGUMENT"


def test_headers_go_along(client: Any) -> None:
    file = client.upload(b"", headers={"X-Request-Id": "python-1"})
    assert (
        client.get(file.id, headers={"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}) == file
    )
    for wrong in ({"authorization": "x"}, {"a b": "x"}, {"x": "ä"}, {"grpc-timeout": "1"}, {"x-bin": "x"}):
        with pytest.raises(InvalidArgumentError) as caught:
            client.get(file.id, headers=wrong)
        assert caught.value.reason == "OPTION_INVALID"

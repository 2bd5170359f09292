"""Versions of datasets and drafts of them."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
import pytest
from support import Service

from asset_service import AssetClient, AssetError, AssetFile
from asset_service.datasets import Datasets, Draft, Entry, diff
from asset_service.fs import AssetFileSystem


@pytest.fixture
def client(service: Service) -> Iterator[AssetClient]:
    with AssetClient(service.url) as made:
        yield made


@pytest.fixture
def datasets(client: AssetClient) -> Datasets:
    return Datasets(client)


@pytest.fixture
def fs(client: AssetClient, tmp_path: Path) -> Any:
    return AssetFileSystem(client=client, drafts=tmp_path / "drafts", skip_instance_cache=True)


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"cats-{uuid4().hex[:8]}"


def refusal(call: Any) -> AssetError:
    with pytest.raises(AssetError) as caught:
        call()
    return caught.value


@pytest.mark.stores
def test_a_version_is_read_by_path_and_keeps_its_files(
    datasets: Datasets, client: AssetClient, fs: Any, name: str
) -> None:
    one, two = client.upload(b"one"), client.upload(b"two", name="two.txt")
    version = datasets.publish(name, "1", [("a/one.txt", one), ("a/b/two.txt", two), ("z", one)])
    url = version.url
    assert url == f"asset://{name}@1"
    assert fs.cat_file(f"{url}/a/b/two.txt") == b"two"
    assert sorted(fs.find(url)) == [f"{name}@1/a/b/two.txt", f"{name}@1/a/one.txt", f"{name}@1/z"]
    assert fs.ls(url, detail=False) == [f"{name}@1/a", f"{name}@1/z"]
    assert fs.glob(f"{url}/a/**/*.txt") == [f"{name}@1/a/b/two.txt", f"{name}@1/a/one.txt"]
    assert fs.isdir(f"{url}/a") and not fs.exists(f"{url}/a/none") and not fs.exists(f"{url}/z/none")
    assert fs.info(f"{url}/a/one.txt")["id"] == one.id
    assert (fs.info(url)["type"], fs.info(f"{url}/")["type"]) == ("directory", "directory")
    with pytest.raises(IsADirectoryError):
        fs.open(f"{url}/a")
    with pytest.raises(PermissionError):
        fs.pipe_file(f"{url}/a/one.txt", b"other")
    with pytest.raises(FileNotFoundError):
        fs.ls(f"asset://{name}@2")

    assert refusal(lambda: client.delete(two.id)).reason == "FILE_PINNED"
    datasets.delete(name, "1")
    client.delete(two.id)
    assert refusal(lambda: datasets.get(name, "1")).reason == "DATASET_NOT_FOUND"


def test_a_version_never_changes(datasets: Datasets, client: AssetClient, name: str) -> None:
    one, two = client.upload(b"one"), client.upload(b"two")
    first = datasets.publish(name, "1", [("x", one)])
    assert datasets.publish(name, "1", [("x", one)]) == first
    assert refusal(lambda: datasets.publish(name, "1", [("x", two)])).reason == "DATASET_VERSION_EXISTS"
    # Many at once: one list counts, and the others are told.
    files = [client.upload(b"%d" % number) for number in range(6)]

    def publish(file: AssetFile) -> str:
        try:
            return datasets.publish(name, "2", [("x", file)]).manifest.entries["x"].id
        except AssetError as error:
            assert error.reason == "DATASET_VERSION_EXISTS"
            return ""

    with ThreadPoolExecutor(6) as pool:
        told = {each for each in pool.map(publish, files) if each}
    assert told <= {datasets.get(name, "2").manifest.entries["x"].id}
    assert datasets.versions(name) == [(name, "1"), (name, "2")]
    assert refusal(lambda: datasets.publish(name, "3", [("x", client.delete(two.id))])).reason == "DATASET_INVALID"
    for wrong in ("", "a/b", "draft", "-x"):
        assert refusal(lambda wrong=wrong: datasets.publish(name, wrong, [])).reason == "OPTION_INVALID"
    for paths in (["../x"], ["/x"], ["x", "x"], ["x", "x/y"], ["a\x7f"], ["a\x85"], ["\ud800"], ["a\\b"], [""], ["a/"]):
        entries = [(path, one) for path in paths]
        assert refusal(lambda entries=entries: datasets.publish(name, "4", entries)).reason == "OPTION_INVALID"


def test_a_draft_becomes_a_version(datasets: Datasets, client: AssetClient, fs: Any, name: str, tmp_path: Path) -> None:
    at = f"asset://{name}@draft"
    fs.pipe({f"{at}/a.txt": b"a", f"{at}/sub/b.txt": b"b", f"{at}/sub/c.txt": b"c"})
    with fs.open(f"{at}/a.txt", "ab") as file:
        file.write(b"ppended")
    draft = Draft(name, tmp_path / "drafts")
    first = datasets.publish(name, "1", draft)
    assert {path: fs.cat_file(f"{name}@1/{path}") for path in first.manifest.entries} == {
        "a.txt": b"appended",
        "sub/b.txt": b"b",
        "sub/c.txt": b"c",
    }
    kept = first.manifest.entries["sub/b.txt"].id
    fs.rm_file(f"{at}/sub/b.txt")
    assert client.get(kept).delete_time is None
    fs.pipe_file(f"{at}/new", b"new")
    unpublished = fs.info(f"{at}/new")["id"]
    fs.rm_file(f"{at}/new")
    # No version names it.
    assert client.get(unpublished).delete_time is not None
    fs.pipe_file(f"{at}/a.txt", b"other")
    fs.mv(f"{at}/sub/c.txt", f"{at}/moved.txt")
    fs.cp_file(f"{name}@1/sub/b.txt", f"{at}/copied.txt")
    second = datasets.publish(name, "2", draft, derived_from=[first])
    changes = diff(first.manifest, second.manifest)
    assert [(before.path, after.path) for before, after in changes.moved] == [
        ("sub/b.txt", "copied.txt"),
        ("sub/c.txt", "moved.txt"),
    ]
    assert [(before.path, after.path) for before, after in changes.changed] == [("a.txt", "a.txt")]
    assert ([*changes.added], [*changes.removed]) == ([], [])
    assert diff(first.manifest, first.manifest).is_empty and not changes.is_empty

    datasets.checkout(name, "1", Draft("other", tmp_path / "drafts"))
    assert [entry.path for entry in Draft("other", tmp_path / "drafts").entries()] == [
        "a.txt",
        "sub/b.txt",
        "sub/c.txt",
    ]
    draft.discard()
    assert not fs.exists(at)
    assert fs.cat_file(f"{name}@2/copied.txt") == b"b"


@pytest.mark.stores
def test_lineage(datasets: Datasets, client: AssetClient, name: str) -> None:
    raw = client.upload(b"raw")
    first = datasets.publish(name, "1", [("x", raw)], derived_from=[raw])
    second = datasets.publish(name, "2", [("x", raw)], derived_from=[first], description="cleaned")
    assert second.manifest.description == "cleaned"
    assert [each.id for each in datasets.ancestors(second)] == [first.file.id, raw.id]


def test_lineage_of_files_in_both_directions(datasets: Datasets, client: AssetClient, name: str) -> None:
    raw = client.upload(b"raw")
    version = datasets.publish(name, "1", [("x", raw)], derived_from=[raw])
    result = client.upload(b"result", relations={"derived_from": [version.file.id]})
    assert [each.id for each in datasets.ancestors(result)] == [version.file.id, raw.id]
    assert [each.id for each in datasets.descendants(raw)] == [version.file.id, result.id]


def test_a_renamed_manifest_is_no_other_version(datasets: Datasets, client: AssetClient, name: str) -> None:
    one, two = client.upload(b"one"), client.upload(b"two")
    other = datasets.publish(name, "1", [("x", one)])
    client.update(other.file.id, name=f"{name}@2")
    assert refusal(lambda: datasets.get(name, "2")).reason == "DATASET_NOT_FOUND"
    second = datasets.publish(name, "2", [("x", two)])
    assert datasets.get(name, "2") == second


def test_lineage_of_what_is_not_there(datasets: Datasets, client: AssetClient, name: str) -> None:
    raw = client.upload(b"raw")
    unknown = refusal(lambda: datasets.publish(name, "1", [("x", raw)], derived_from=[raw.id, "none"]))
    assert (unknown.code, unknown.reason, unknown.metadata["file_id"]) == ("INVALID_ARGUMENT", "DATASET_INVALID", "none")
    assert datasets.versions(name) == []
    wrong: Any
    for wrong in (raw.id, [5], [None]):
        assert refusal(lambda: datasets.publish(name, "1", [], derived_from=wrong)).reason == "OPTION_INVALID"
    # What it was made from may be gone later; the version stays, and can be restored.
    version = datasets.publish(name, "1", [], derived_from=[raw])
    client.delete(raw.id)
    datasets.delete(name, "1")
    client.undelete(version.file.id)
    assert datasets.get(name, "1").manifest.derived_from == (raw.id,)


def test_lineage_that_leads_back(datasets: Datasets, client: AssetClient) -> None:
    one = client.upload(b"one")
    two = client.upload(b"two", relations={"derived_from": [one.id]})
    client.update(one.id, relations={"derived_from": [two.id, one.id]})
    for start, other in ((one, two), (two, one)):
        assert [each.id for each in datasets.ancestors(start)] == [other.id]
        assert [each.id for each in datasets.descendants(start)] == [other.id]


def test_paths_of_any_writing(datasets: Datasets, client: AssetClient, fs: Any, name: str) -> None:
    file = client.upload(b"x")
    # Both normal forms of one letter, other ends of lines, right to left, an emoji.
    paths = ["\u00e9", "e\u0301", "a\u2028b", "\u2029", "\u05d0/\U0001f600", "a b'\"c", "%2e%2e", "x" * 1024]
    version = datasets.publish(name, "1", [(path, file) for path in paths], description="one\u2028two")
    there = datasets.get(name, "1")
    assert there.manifest == version.manifest and set(there.manifest.entries) == set(paths)
    assert there.manifest.description == "one\u2028two"
    assert fs.find(version.url) == sorted(f"{name}@1/{path}" for path in paths)
    assert fs.cat_file(f"{version.url}/e\u0301") == b"x"
    empty = datasets.publish(name, "2", [])
    assert (fs.find(empty.url), fs.ls(empty.url), empty.manifest.entries) == ([], [], {})
    assert len(diff(empty.manifest, there.manifest).added) == len(paths)


def test_many_files(datasets: Datasets, client: AssetClient, fs: Any, name: str) -> None:
    file = client.upload(b"x")
    assert file.sha256 is not None
    entries = [Entry(f"{number % 50}/{number}", file.id, file.sha256, 1) for number in range(20_000)]
    version = datasets.publish(name, "1", entries)
    assert len(fs.find(version.url)) == 20_000
    assert len(fs.ls(f"{name}@1/7")) == 400
    assert fs.cat([f"{name}@1/7/7", f"{name}@1/8/8"]) == {f"{name}@1/7/7": b"x", f"{name}@1/8/8": b"x"}
    assert len(pickle.dumps(fs)) < 10_000


def test_threads_write_one_draft(fs: Any, name: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: fs.pipe_file(f"{name}@draft/{number}", b"%d" % number), range(32)))
    assert len(fs.ls(f"{name}@draft")) == 32

    def create(number: int) -> bool:
        try:
            fs.pipe_file(f"{name}@draft/same", b"%d" % number, mode="create")
        except FileExistsError:
            return False
        return True

    fs.rm(f"{name}@draft/0")
    with fsspec.open(f"asset://{name}@draft/1", client=fs.client, drafts=fs._trees._drafts) as file:
        opened: Any = file
        assert opened.read() == b"1"
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(create, range(8))) == 1
    assert not create(9)

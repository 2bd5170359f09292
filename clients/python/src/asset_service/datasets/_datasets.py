"""Versions of datasets in the service."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from asset_service._sync._client import AssetClient
from asset_service.datasets._draft import Draft
from asset_service.datasets._manifest import (
    CONTENT_TYPE,
    USAGE,
    Entry,
    Manifest,
    check_name,
    entry_of,
    make_manifest,
    read_manifest,
)
from asset_service.errors import AssetError, invalid_option, make_error
from asset_service.records import AssetFile, Attributes, Relations

LINEAGE = "derived_from"
"""The relation that names what a file was made from. A PocketBase needs a relation field of this name."""

_MAX_MANIFEST_BYTES = 512 * 2**20


@dataclass(frozen=True)
class DatasetVersion:
    """A version of a dataset in the service."""

    file: AssetFile
    """The record of the manifest."""
    manifest: Manifest

    @property
    def url(self) -> str:
        """Its address for fsspec."""
        return f"asset://{self.manifest.dataset}@{self.manifest.version}"


class Datasets:
    """Publishes and reads versions of datasets.

    A version is a manifest, a file that lists paths, ids and SHA-256. While it is not deleted, the service keeps every file
    that it names. Of two manifests with one name and version the older one counts, so a version never changes.
    """

    def __init__(self, client: AssetClient) -> None:
        self._client = client

    def publish(
        self,
        dataset: str,
        version: str,
        files: Draft | Iterable[Entry | tuple[str, AssetFile]],
        *,
        derived_from: Iterable[str | DatasetVersion | AssetFile] = (),
        description: str = "",
        owner: str | None = None,
        relations: Relations | None = None,
        attributes: Attributes | None = None,
    ) -> DatasetVersion:
        """Makes a version. The same list again gives the same version; another one is DATASET_VERSION_EXISTS.

        files: a draft, or paths with their files.
        derived_from: ids, files or versions that it was made from, which the caller may read: otherwise DATASET_INVALID. It
            is in the manifest, and in the relation `derived_from` if the catalog has one.
        owner, relations, attributes: of the manifest.
        """
        listed = files.entries() if isinstance(files, Draft) else files
        entries = [each if isinstance(each, Entry) else entry_of(*each) for each in listed]
        if isinstance(derived_from, (str, bytes)):
            raise invalid_option("derived_from must be a list of ids, files or versions")
        sources = [_id_of(each) for each in derived_from]
        manifest = make_manifest(dataset, version, entries, sources, description)
        content = manifest.to_bytes()
        earlier = self._find(dataset, version)
        if earlier is None:
            made = DatasetVersion(self._upload(content, manifest, owner, relations, attributes), manifest)
            earlier = self._find(dataset, version, made)
            if earlier is None or earlier is made:
                return made
            # Another process was first.
            self._client.delete(made.file.id)
        if earlier.manifest != manifest:
            raise make_error(
                "ALREADY_EXISTS",
                f"{dataset}@{version} exists and lists other files: a version never changes, take another one",
                reason="DATASET_VERSION_EXISTS",
                metadata={"file_id": earlier.file.id},
            )
        return earlier

    def get(self, dataset: str, version: str) -> DatasetVersion:
        """A version. Raises DATASET_NOT_FOUND."""
        check_name("dataset", dataset)
        check_name("version", version)
        found = self._find(dataset, version)
        if found is None:
            message = f"there is no dataset {dataset}@{version}"
            raise make_error("NOT_FOUND", message, reason="DATASET_NOT_FOUND")
        return found

    def versions(self, dataset: str | None = None) -> list[tuple[str, str]]:
        """The name and version of every version, or of those of one dataset, oldest first."""
        found = [file.name.partition("@") for file in self._manifests()]
        named = dict.fromkeys((name, version) for name, at, version in found if at and dataset in (None, name))
        return [*named][::-1]

    def delete(self, dataset: str, version: str) -> AssetFile:
        """Deletes a version, softly: its files can be deleted then. `AssetClient.undelete` restores it while they are there."""
        return self._client.delete(self.get(dataset, version).file.id)

    def checkout(self, dataset: str, version: str, draft: Draft) -> Draft:
        """Sets the files of a version in a draft, to change it into the next one."""
        draft.update(self.get(dataset, version).manifest.entries.values())
        return draft

    def ancestors(self, file: str | AssetFile | DatasetVersion) -> list[AssetFile]:
        """What a file or version was made from, and what that was made from, nearest first. Leaves out what is gone."""
        start = self._client.get(_id_of(file))
        # A relation may be changed, so lineage may lead back.
        seen = {start.id: start}
        wanted = [id for id in self._sources(start) if id not in seen]
        while wanted:
            found = [result.file for result in self._client.get_many(wanted) if result.file is not None]
            seen |= {each.id: each for each in found}
            wanted = [id for each in found for id in self._sources(each) if id not in seen]
        return [*seen.values()][1:]

    def descendants(self, file: str | AssetFile | DatasetVersion) -> list[AssetFile]:
        """What was made from a file or version by the relation `derived_from`, and from that, nearest first."""
        start = _id_of(file)
        seen: dict[str, AssetFile] = {}
        wanted = [start]
        while wanted:
            found = [each for id in wanted for each in self._client.list(relation=(LINEAGE, id))]
            fresh = {each.id: each for each in found if each.id not in seen and each.id != start}
            seen |= fresh
            wanted = [*fresh]
        return [*seen.values()]

    def _sources(self, file: AssetFile) -> Sequence[str]:
        named = file.relations.get(LINEAGE, ())
        if file.usage != USAGE or file.content_type != CONTENT_TYPE or file.delete_time is not None:
            return named
        return [*dict.fromkeys([*named, *self._load(file).manifest.derived_from])]

    def _manifests(self) -> Iterator[AssetFile]:
        """All manifests, newest first."""
        return self._client.list(usage=USAGE, content_type=CONTENT_TYPE, page_size=1000)

    def _find(self, dataset: str, version: str, made: DatasetVersion | None = None) -> DatasetVersion | None:
        """The oldest manifest of this name that says the same of itself: a record may be renamed, a manifest never changes."""
        named = [file for file in self._manifests() if file.name == f"{dataset}@{version}"]
        for file in reversed(named):
            found = made if made is not None and made.file.id == file.id else self._load(file)
            if (found.manifest.dataset, found.manifest.version) == (dataset, version):
                return found
        return None

    def _load(self, file: AssetFile) -> DatasetVersion:
        return DatasetVersion(file, read_manifest(self._client.download_bytes(file.id, max_bytes=_MAX_MANIFEST_BYTES)))

    def _upload(
        self,
        content: bytes,
        manifest: Manifest,
        owner: str | None,
        relations: Relations | None,
        attributes: Attributes | None,
    ) -> AssetFile:
        given: dict[str, Any] = {
            "name": f"{manifest.dataset}@{manifest.version}",
            "content_type": CONTENT_TYPE,
            "owner": owner,
            "usage": USAGE,
            "attributes": attributes,
        }
        with_lineage = {**(relations or {}), LINEAGE: [*manifest.derived_from]} if manifest.derived_from else relations
        try:
            return self._client.upload(content, relations=with_lineage, **given)
        except AssetError as error:
            if error.reason != "RELATION_UNKNOWN" or error.metadata.get("relation") != LINEAGE:
                raise
        # The lineage is in the manifest; this catalog cannot find it from the other end.
        return self._client.upload(content, relations=relations, **given)


def _id_of(file: str | AssetFile | DatasetVersion) -> str:
    if isinstance(file, DatasetVersion):
        return file.file.id
    if isinstance(file, AssetFile):
        return file.id
    if isinstance(file, str):
        return file
    raise invalid_option(f"an id, a file or a version is needed, not {file!r}")

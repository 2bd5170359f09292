"""Small data through the libraries that read with fsspec."""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import datasets as hf
import pandas
import polars
import pyarrow
import pyarrow.dataset
import pyarrow.parquet
import pytest
import smart_open
import torch
from images import Images
from PIL import Image
from support import Proxy, Service
from upath import UPath

from asset_service import AssetClient, AssetFile
from asset_service.datasets import Datasets
from asset_service.fs import AssetFileSystem

PARTS = 200
ROWS = 50


def parquet(table: pyarrow.Table) -> bytes:
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(table, buffer)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[AssetClient]:
    with AssetClient(service.url) as made:
        yield made


@pytest.fixture(scope="module")
def options(service: Service) -> dict[str, Any]:
    return {"endpoint": service.url}


@pytest.fixture(scope="module")
def table(client: AssetClient) -> str:
    """A version of 200 Parquet files."""
    files = []
    for part in range(PARTS):
        numbers = range(part * ROWS, (part + 1) * ROWS)
        rows = pyarrow.table({"number": list(numbers), "text": [f"row {each}" for each in numbers]})
        files.append((f"part={part}/data.parquet", client.upload(parquet(rows), name="data.parquet")))
    return Datasets(client).publish(f"table-{uuid4().hex[:8]}", "1", files).url


@pytest.fixture(scope="module")
def one(client: AssetClient) -> AssetFile:
    """One Parquet file of 100,000 rows in ten groups."""
    buffer = io.BytesIO()
    rows = pyarrow.table({"number": list(range(100_000)), "half": [each / 2 for each in range(100_000)]})
    pyarrow.parquet.write_table(rows, buffer, row_group_size=10_000)
    return client.upload(buffer.getvalue(), name="one.parquet")


def test_pandas(client: AssetClient, options: dict[str, Any], one: AssetFile) -> None:
    text = client.upload(b"a,b\n1,2\n3,4\n", name="t.csv")
    frame = pandas.read_csv(f"asset://{text.id}", storage_options=options)
    assert frame.to_dict("list") == {"a": [1, 3], "b": [2, 4]}
    frame = pandas.read_parquet(f"asset://{one.id}", storage_options=options, columns=["half"])
    assert float(frame["half"].sum()) == sum(each / 2 for each in range(100_000))


def test_pandas_writes_into_a_draft(client: AssetClient, options: dict[str, Any], tmp_path: Path) -> None:
    draft = {**options, "drafts": str(tmp_path)}
    frame = pandas.DataFrame({"a": [1, 2]})
    frame.to_parquet("asset://made@draft/x.parquet", storage_options=draft)
    frame.to_csv("asset://made@draft/x.csv", storage_options=draft, index=False)
    assert pandas.read_parquet("asset://made@draft/x.parquet", storage_options=draft).equals(frame)
    assert pandas.read_csv("asset://made@draft/x.csv", storage_options=draft).equals(frame)


def test_polars(options: dict[str, Any], one: AssetFile, table: str) -> None:
    fs: Any = AssetFileSystem(**options)
    with fs.open(one.id) as file:
        assert polars.read_parquet(file, columns=["number"])["number"].sum() == sum(range(100_000))
    files = pyarrow.dataset.dataset(table.removeprefix("asset://"), filesystem=fs, partitioning="hive")
    lazy = polars.scan_pyarrow_dataset(files).filter(polars.col("part") == 7).select("number")
    assert lazy.collect()["number"].to_list() == list(range(7 * ROWS, 8 * ROWS))


def test_pyarrow_reads_200_files(options: dict[str, Any], table: str) -> None:
    fs: Any = AssetFileSystem(**options, skip_instance_cache=True)
    files = pyarrow.dataset.dataset(table.removeprefix("asset://"), filesystem=fs, partitioning="hive")
    found = files.to_table()
    assert found.num_rows == PARTS * ROWS
    assert sorted(found["number"].to_pylist()) == list(range(PARTS * ROWS))
    assert fs._session.reader.service_reads == 0


def test_pyarrow_reads_the_needed_columns_of_one_file(options: dict[str, Any], one: AssetFile) -> None:
    fs: Any = AssetFileSystem(**options)
    with fs.open(one.id, cache_type="none") as file:
        group = pyarrow.parquet.ParquetFile(file, pre_buffer=True).read_row_group(3, columns=["half"])
    assert group["half"][0].as_py() == 15_000


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_torch_data_loader(client: AssetClient, options: dict[str, Any], method: str) -> None:
    files = []
    for number in range(24):
        buffer = io.BytesIO()
        Image.new("RGB", (8, 8), (number, 0, 0)).save(buffer, "PNG")
        files.append((f"{number}.png", client.upload(buffer.getvalue(), name=f"{number}.png")))
    version = Datasets(client).publish(f"images-{method}-{uuid4().hex[:8]}", "1", files)
    fs: Any = AssetFileSystem(**options)
    # The parent has used its connections before it forks.
    images = Images(fs, version.url)
    assert images[0][0].shape == (8, 8, 3)
    loader = torch.utils.data.DataLoader(
        images, batch_size=4, num_workers=4, multiprocessing_context=method, persistent_workers=True
    )
    for _ in range(2):
        seen = {}
        for pictures, numbers in loader:
            seen |= dict(zip(numbers.tolist(), pictures[:, 0, 0, 0].tolist()))
        assert seen == {number: number for number in range(24)}


def test_hugging_face_streams(options: dict[str, Any], table: str, tmp_path: Path) -> None:
    files = [f"{table}/part={part}/data.parquet" for part in (3, 4)]
    loaded = hf.load_dataset(
        "parquet",
        data_files=files,
        split="train",
        streaming=True,
        storage_options=options,
        cache_dir=str(tmp_path),
    )
    assert [row["number"] for row in loaded] == list(range(3 * ROWS, 5 * ROWS))


def test_universal_pathlib(options: dict[str, Any], table: str, tmp_path: Path) -> None:
    path = UPath(table, **options) / "part=5" / "data.parquet"
    assert path.exists() and path.stat().st_size > 0
    assert pyarrow.parquet.read_table(io.BytesIO(path.read_bytes())).num_rows == ROWS
    assert len(list(UPath(table, **options).glob("*/*.parquet"))) == PARTS
    draft = UPath("asset://paths@draft/a/b.txt", **options, drafts=str(tmp_path))
    draft.parent.mkdir(parents=True, exist_ok=True)
    draft.write_text("hello")
    assert draft.read_text() == "hello"


def test_smart_open(client: AssetClient, options: dict[str, Any]) -> None:
    smart_open.transport.register_transport("asset_service.smart_open")
    file = client.upload(b"a\nb\n")
    with smart_open.open(f"asset://{file.id}", transport_params=options) as opened:
        assert opened.read() == "a\nb\n"


def test_32_threads(options: dict[str, Any], table: str) -> None:
    def work(part: int) -> int:
        path = f"{table}/part={part}/data.parquet"
        return int(pandas.read_parquet(path, storage_options=options)["number"].sum())

    with ThreadPoolExecutor(32) as pool:
        assert sum(pool.map(work, range(PARTS))) == sum(range(PARTS * ROWS))


def test_a_store_that_is_down_for_ten_seconds(settings: dict[str, str], service: Service) -> None:
    endpoint = settings.get("ASSET_S3_ENDPOINT")
    if endpoint is None:
        pytest.skip("the store is part of the service")
    proxy = Proxy(urlsplit(endpoint).port or 80)
    # Callers and the service reach the store by the proxy alone.
    behind = Service({**settings, "ASSET_S3_ENDPOINT": proxy.url}).start()
    data = os.urandom(12_000_000)
    try:
        with AssetClient(behind.url) as client:
            file = client.upload(data)
            fs: Any = AssetFileSystem(client=client, skip_instance_cache=True)
            with fs.open(file.id, block_size=1_000_000, cache_type="none") as opened:
                found = opened.read(1_000_000)
                proxy.down = True
                proxy.cut()
                began = time.monotonic()
                threading.Timer(10, lambda: setattr(proxy, "down", False)).start()
                while piece := opened.read(1_000_000):
                    found += piece
            assert found == data
            assert time.monotonic() - began > 9
    finally:
        behind.dispose()
        proxy.close()


def test_urls_of_two_seconds_in_a_long_read(options: dict[str, Any], one: AssetFile) -> None:
    fs: Any = AssetFileSystem(**options, url_ttl=2, skip_instance_cache=True)
    with fs.open(one.id, block_size=100_000, cache_type="readahead") as file:
        found = b""
        began = time.monotonic()
        while piece := file.read(100_000):
            found += piece
            time.sleep(0.5)
    assert time.monotonic() - began > 4
    assert found == fs.cat_file(one.id)
    assert fs._session.reader.service_reads == 0

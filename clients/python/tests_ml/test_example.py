"""The examples for machine learning, as processes."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas
import pytest
from PIL import Image
from support import REPOSITORY, Service, eventually

from asset_service import AssetClient
from asset_service.datasets import Datasets

EXAMPLE = REPOSITORY / "examples" / "ml"


@pytest.fixture
def service(tmp_path: Path) -> Service:
    """Its own service, with a catalog that takes any relation."""
    started = Service({}).start()
    yield started
    started.dispose()


def image(color: tuple[int, int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), color).save(buffer, "PNG")
    return buffer.getvalue()


def test_batch_job_and_watcher(service: Service) -> None:
    env = {**os.environ, "ASSET_SERVICE_URL": service.url}
    with AssetClient(service.url) as assets:
        datasets = Datasets(assets)
        colors = {"a.png": (255, 0, 0), "sub/b.png": (0, 10, 20)}
        files = [
            (path, assets.upload(image(color), name=path.rpartition("/")[2], owner="ann"))
            for path, color in colors.items()
        ]
        labels = io.BytesIO()
        pandas.DataFrame({"path": [*colors], "label": ["x", "y"]}).to_parquet(labels)
        source = datasets.publish("cats", "1", [*files, ("labels.parquet", assets.upload(labels.getvalue()))])

        for _ in range(2):
            batch = [sys.executable, str(EXAMPLE / "batch.py"), "cats@1"]
            said = subprocess.run(batch, env=env, check=True, capture_output=True, text=True, timeout=120).stdout
            assert said.startswith("published asset://cats-colors@1, 1 file")
        result = datasets.get("cats-colors", "1")
        options = {"endpoint": service.url}
        table = pandas.read_parquet("asset://cats-colors@1/colors.parquet", storage_options=options)
        assert table.to_dict("records") == [
            {"path": path, "label": label, "red": color[0], "green": color[1], "blue": color[2]}
            for (path, color), label in zip(colors.items(), "xy")
        ]
        assert source.file.id in [each.id for each in datasets.ancestors(result)]
        made = {each.id for each in datasets.descendants(source)}
        assert {result.file.id, result.manifest.entries["colors.parquet"].id} <= made

        watcher = [sys.executable, str(EXAMPLE / "watcher.py")]
        process = subprocess.Popen(watcher, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            late = assets.upload(image((1, 2, 3)), name="late.png", owner="bob")
            wanted = {file.id for _, file in files} | {late.id}

            def stored() -> dict[str, list[int]]:
                found = [json.loads(assets.download_bytes(each.id)) for each in assets.list(usage="color")]
                return {each["image"]: each["color"] for each in found}

            eventually(lambda: set(stored()) == wanted, 60)
            assert stored()[late.id] == [1, 2, 3]
            [color] = [each for each in datasets.descendants(late.id)]
            assert (color.owner, color.usage, [*color.relations["derived_from"]]) == ("bob", "color", [late.id])
        finally:
            process.terminate()
            _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")

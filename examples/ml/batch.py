"""A batch job: reads the images and the labels of a dataset version, and publishes their colors as another dataset.

    python batch.py DATASET@VERSION

The version has `labels.parquet` with the columns `path` and `label`. The result is `DATASET-colors@VERSION`, one Parquet
file, which names what it was made from. The same job again gives the same version.
"""

from __future__ import annotations

import io
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import fsspec
import pandas
from colors import mean_color

from asset_service import AssetClient, EnvironmentToken
from asset_service.datasets import Datasets, DatasetVersion


def run(assets: AssetClient, dataset: str, version: str) -> DatasetVersion:
    datasets = Datasets(assets)
    source = datasets.get(dataset, version)
    fs = fsspec.filesystem("asset", client=assets)
    labels = pandas.read_parquet(f"{source.url}/labels.parquet", filesystem=fs)
    with ThreadPoolExecutor(8) as pool:
        colors = list(pool.map(lambda path: mean_color(fs, f"{source.url}/{path}"), labels["path"]))
    table = labels.assign(red=[c[0] for c in colors], green=[c[1] for c in colors], blue=[c[2] for c in colors])
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    result = assets.upload(
        buffer.getvalue(),
        name="colors.parquet",
        relations={"derived_from": [source.file.id]},
        request_id=f"colors-{source.file.id}",
    )
    return datasets.publish(f"{dataset}-colors", version, [("colors.parquet", result)], derived_from=[source])


def main() -> None:
    if len(sys.argv) != 2 or "@" not in sys.argv[1]:
        raise SystemExit(__doc__)
    name, _, version = sys.argv[1].rpartition("@")
    with AssetClient(os.environ["ASSET_SERVICE_URL"], token=EnvironmentToken()) as assets:
        result = run(assets, name, version)
        print(f"published {result.url}, {len(result.manifest.entries)} file, manifest {result.file.id}")


if __name__ == "__main__":
    main()

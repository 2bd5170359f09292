"""The work of the examples: the mean color of an image. Both the batch job and the watcher use it."""

from __future__ import annotations

import json
from typing import Any

from PIL import Image

from asset_service import AssetClient, AssetFile


def mean_color(fs: Any, path: str) -> tuple[int, int, int]:
    """The mean color of an image, read through `asset://`."""
    with fs.open(path) as file, Image.open(file) as image:
        red, green, blue = image.convert("RGB").resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
        return red, green, blue


def store_color(assets: AssetClient, fs: Any, image: AssetFile) -> AssetFile:
    """Stores the color of one image as a file that names it. The request id makes repeated work give one file."""
    color = mean_color(fs, f"asset://{image.id}")
    return assets.upload(
        json.dumps({"image": image.id, "color": color}).encode(),
        name=f"{image.id}.color.json",
        content_type="application/json",
        owner=image.owner or None,
        usage="color",
        # What the image belongs to, the result belongs to.
        relations={**image.relations, "derived_from": [image.id]},
        request_id=f"color-{image.id}",
    )

"""A data set of torch, importable in the processes of its workers."""

from __future__ import annotations

import io
from typing import Any

import numpy
import torch
from PIL import Image


class Images(torch.utils.data.Dataset):
    """The images of a version, with the number in their name."""

    def __init__(self, fs: Any, root: str) -> None:
        self._fs = fs
        self._paths = sorted(fs.find(root))

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        path = self._paths[index]
        with self._fs.open(path) as file:
            image = Image.open(io.BytesIO(file.read()))
        number = int(path.rpartition("/")[2].removesuffix(".png"))
        return torch.from_numpy(numpy.array(image)), number

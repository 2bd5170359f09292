"""The snippets of the documentation, as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import REPOSITORY


@pytest.mark.parametrize("page", ["clients/python/README.md", "docs/datasets.md", "docs/clients.md", "docs/machine-learning.md"])
def test_the_snippets_run(service: Any, tmp_path: Path, page: str) -> None:
    text = (REPOSITORY / page).read_text()
    snippets = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert snippets
    env = {**os.environ, "ASSET_SERVICE_URL": service.url, "CLIENT_SECRET": "secret"}
    # One process, but no name of one snippet in the next.
    program = "".join(f"exec({snippet!r}, {{'__name__': '__main__'}})\n" for snippet in snippets)
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, cwd=tmp_path, env=env, timeout=60)

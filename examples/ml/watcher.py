"""A watcher: stores the color of every image that is uploaded, until it gets SIGTERM or SIGINT.

    python watcher.py [SUBSCRIPTION]

Several watchers with one subscription share the images. One that is killed loses nothing: another gets its images when
their lease ends.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

import fsspec
from colors import store_color

from asset_service import AssetClient, Delivery, EnvironmentToken, FileEvent, consume


def main() -> None:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with AssetClient(os.environ["ASSET_SERVICE_URL"], token=EnvironmentToken()) as assets:
        fs = fsspec.filesystem("asset", client=assets)

        def handle(event: FileEvent, delivery: Delivery) -> None:
            if event.type == "CREATED":
                print(f"{event.file.id} has {store_color(assets, fs, event.file).id}", flush=True)

        consume(
            assets,
            sys.argv[1] if len(sys.argv) > 1 else "colors",
            handle,
            start="existing",
            content_type="image/*",
            concurrency=2,
            stop=stop,
            on_error=lambda error, event: print(f"{event.file.id}: {error}", file=sys.stderr, flush=True),
        )


if __name__ == "__main__":
    main()

"""Progress of transfers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from asset_service.errors import invalid_option


@dataclass(frozen=True)
class Progress:
    """How far a transfer is."""

    done: int
    """Bytes passed to the network, or checked and written, from the start of the transfer."""
    total: int | None
    """Bytes in all, if known."""
    attempt: int
    """1 for the first try."""
    went_back: bool
    """True if `done` is less than before, because lost bytes are sent again."""


class ProgressBar(Protocol):
    """A bar like tqdm's."""

    total: Any

    def update(self, n: int, /) -> Any:
        """Moves the bar by n, back if it is negative."""
        ...

    def refresh(self) -> Any:
        """Draws the bar."""
        ...


ProgressTarget: TypeAlias = Callable[[Progress], None] | ProgressBar | bool
"""A function, a bar of tqdm, which stays open, or True for a bar of one's own (needs `asset-service[tqdm]`)."""


class ProgressReporter:
    """Reports the progress of one transfer. Close it at the end."""

    def __init__(self, target: ProgressTarget | None, total: int | None, name: str | None) -> None:
        self._total = total
        self._last = 0
        self._own: Any = None
        self._bar: Any = None
        self._function: Callable[[Progress], None] | None = None
        if target is True:
            self._bar = self._own = _new_bar(total, name)
        elif hasattr(target, "update") and hasattr(target, "refresh"):
            self._bar = target
            self._set_total(total)
        elif callable(target):
            self._function = target
        elif target is not None and target is not False:
            raise invalid_option("progress must be a function, a bar of tqdm, or True")

    def set_total(self, total: int) -> None:
        """The total is known only now."""
        self._total = total
        self._set_total(total)

    def _set_total(self, total: int | None) -> None:
        if self._bar is not None and total is not None and self._bar.total != total:
            self._bar.total = total
            self._bar.refresh()

    def begin(self, offset: int, attempt: int) -> None:
        """A try begins at `offset`; reports it only if the previous one ended elsewhere."""
        if offset != self._last:
            self.at(offset, attempt)

    def at(self, done: int, attempt: int) -> None:
        """Bytes up to `done` were passed on."""
        moved = done - self._last
        self._last = done
        if self._bar is not None and moved != 0:
            self._bar.update(moved)
        if self._function is not None:
            self._function(Progress(done, self._total, attempt, moved < 0))

    def close(self) -> None:
        """Closes a bar of one's own."""
        if self._own is not None:
            self._own.close()


def _new_bar(total: int | None, name: str | None) -> Any:
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        raise invalid_option("progress=True needs tqdm: pip install 'asset-service[tqdm]'") from error
    return tqdm(total=total, desc=name, unit="B", unit_scale=True, unit_divisor=1024)

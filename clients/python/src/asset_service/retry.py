"""How failed calls are retried."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from asset_service._arguments import check_number
from asset_service.errors import AssetError, make_error

CALL_RETRIES = 5
"""Retries of a call that transfers no file bytes."""


@dataclass(frozen=True)
class RetryPolicy:
    """Retry policy of a client."""

    retries: int | None = None
    """Maximum number of retries without progress; 0 for none. None means 5 for calls that transfer no file bytes, and
    unlimited within their time for uploads and downloads."""
    base_delay: float = 0.5
    """Maximum wait before the first retry in seconds, doubled for each further one."""
    max_delay: float = 10.0
    """Maximum wait that the service did not ask for, in seconds."""
    on_retry: Callable[[AssetError, float], None] | None = field(default=None, compare=False)
    """Called before each wait with the failure and the wait in seconds."""

    def __post_init__(self) -> None:
        check_number("retries", self.retries, 0)
        check_number("base_delay", self.base_delay, 0)
        check_number("max_delay", self.max_delay, 0)


@dataclass(frozen=True)
class CallOptions:
    """Options of one call of a client's method."""

    timeout: float
    """Time with all retries, in seconds; 0 for no limit."""
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Attempt:
    """One try of a call."""

    number: int
    """1 for the first."""
    timeout: float | None
    """Remaining time in seconds; None for no limit."""
    headers: Mapping[str, str]


class Retries:
    """The retries of one call.

    Retried are UNAVAILABLE (except TLS failures), RESOURCE_EXHAUSTED (except too large messages and full quotas), and
    ABORTED if its reason permits repeating the same call. A call whose token was refused is repeated once if there is
    another token.
    """

    def __init__(self, policy: RetryPolicy, call: CallOptions, retries: float = CALL_RETRIES) -> None:
        self._policy = policy
        self._retries: float = retries if policy.retries is None else policy.retries
        self._headers = call.headers
        self._deadline = time.monotonic() + call.timeout if call.timeout > 0 else math.inf
        self._attempt = 1
        self._failures = 0
        self._renewed = False

    def next(self) -> Attempt:
        """Begins a try. Raises DEADLINE_EXCEEDED if the time is over."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise make_error("DEADLINE_EXCEEDED", "the time for the call is over")
        return Attempt(self._attempt, None if left == math.inf else left, self._headers)

    def progressed(self) -> None:
        """The last try made progress: resets the number of retries."""
        self._failures = 0
        self._renewed = False

    def delay(self, error: AssetError, again: bool | None = None) -> float:
        """How many seconds to wait before the next try; raises `error` if there is none.

        `again` says whether a retry can help; by default `is_retriable` decides.
        """
        again = is_retriable(error) if again is None else again
        # The refused call had no effect, so this is not a retry and needs no wait.
        if again and error.token_renewed:
            if self._renewed:
                raise error
            self._renewed = True
            return 0
        self._failures += 1
        if not again or self._failures > self._retries:
            raise error
        bound = min(self._policy.base_delay * 2 ** min(self._failures - 1, 30), self._policy.max_delay)
        asked = error.retry_after if error.retry_after is not None else bound / 2
        # The random part spreads the callers.
        delay: float = asked + random.random() * bound / 2
        # There is no time left to wait, and `error` says more than DEADLINE_EXCEEDED.
        if time.monotonic() + delay >= self._deadline:
            raise error
        if self._policy.on_retry is not None:
            self._policy.on_retry(error, delay)
        self._attempt += 1
        return delay


def is_retriable(error: AssetError) -> bool:
    """True if the same call may succeed later."""
    if error.code == "UNAVAILABLE":
        return error.reason != "TLS_FAILED"
    if error.code == "RESOURCE_EXHAUSTED":
        return error.reason not in ("MESSAGE_TOO_LARGE", "QUOTA_EXCEEDED", "DOWNLOAD_TOO_LARGE")
    if error.code == "ABORTED":
        return error.reason in ("UPLOAD_EXPIRED", "CONCURRENT_CHANGE")
    return error.code == "UNAUTHENTICATED" and error.token_renewed

"""The caller's position in its trace, for the headers of W3C Trace Context."""

from __future__ import annotations

import sys
from typing import Any


def trace_headers() -> dict[str, str]:
    """The headers for the active span of OpenTelemetry; none if the process does not use it or no span is active.

    A process with spans has loaded the API. Nothing is imported here, so that others pay nothing.
    """
    api: Any = sys.modules.get("opentelemetry.trace")
    if api is None or not hasattr(api, "get_current_span"):
        return {}
    context = api.get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    headers = {"traceparent": f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"}
    state = context.trace_state.to_header() if context.trace_state else ""
    if state and state.isascii() and state.isprintable():
        headers["tracestate"] = state
    return headers

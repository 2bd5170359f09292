"""The position of the caller in its trace, in real spans of the service."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from support import Service, eventually

from asset_service import NotFoundError

TRACER = TracerProvider().get_tracer("test")
UNSAMPLED = TracerProvider(sampler=ALWAYS_OFF).get_tracer("test")


class Collector(ThreadingHTTPServer):
    """A collector of OpenTelemetry that keeps the spans that the service sends."""

    def __init__(self) -> None:
        self.spans: list[dict[str, Any]] = []
        super().__init__(("127.0.0.1", 0), _Receiver)

    def under(self, trace_id: int, parent_id: int) -> set[str]:
        """Names of the spans right below a span of the caller."""
        ids = (f"{trace_id:032x}", f"{parent_id:016x}")
        return {each["name"] for each in self.spans if (each["traceId"], each.get("parentSpanId")) == ids}


class _Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self._body())
        collector = self.server
        assert isinstance(collector, Collector)
        for resource in body.get("resourceSpans", []):
            for scope in resource["scopeSpans"]:
                collector.spans += scope["spans"]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def _body(self) -> bytes:
        """The body, which the service sends in chunks."""
        content = b""
        while size := int(self.rfile.readline(), 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return content

    def log_message(self, format: str, *args: object) -> None:
        """Prints nothing."""


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    """Where the service sends its spans."""
    made = Collector()
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture(scope="module")
def traced(collector: Collector) -> Iterator[Service]:
    """A service that sends spans."""
    endpoint = f"http://127.0.0.1:{collector.server_port}/v1/traces"
    made = Service({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "100"})
    yield made.start()
    made.dispose()


def rpc(name: str) -> str:
    return f"asset.v1.AssetService/{name}"


def test_calls_are_below_the_active_span(connect: Any, traced: Service, collector: Collector) -> None:
    client = connect(traced.url)
    with TRACER.start_as_current_span("job") as span:
        first, second = client.upload_many([b"one", b"two"], concurrency=2)
        assert client.download_bytes(first.id) == b"one"
        assert client.get(second.id).id == second.id
        with pytest.raises(NotFoundError) as caught:
            client.get("0" * 15)
    context = span.get_span_context()
    assert caught.value.metadata["trace_id"] == f"{context.trace_id:032x}"
    wanted = {rpc("Upload"), rpc("DownloadFile"), rpc("GetFile")}
    eventually(lambda: collector.under(context.trace_id, context.span_id) >= wanted)
    uploads = [each for each in collector.spans if each["traceId"] == f"{context.trace_id:032x}"]
    assert len([each for each in uploads if each["name"] == rpc("Upload")]) == 2


def test_a_given_header_goes_before_the_active_span(connect: Any, traced: Service, collector: Collector) -> None:
    given = "00-" + "a" * 31 + "1-" + "b" * 15 + "1-01"
    client = connect(traced.url, headers=lambda: {"traceparent": given})
    with TRACER.start_as_current_span("job") as span, pytest.raises(NotFoundError) as caught:
        client.get("0" * 15)
    assert caught.value.metadata["trace_id"] == "a" * 31 + "1"
    eventually(lambda: rpc("GetFile") in collector.under(int("a" * 31 + "1", 16), int("b" * 15 + "1", 16)))
    context = span.get_span_context()
    assert collector.under(context.trace_id, context.span_id) == set()


def test_a_trace_that_is_not_sampled_stays_so(connect: Any, traced: Service, collector: Collector) -> None:
    client = connect(traced.url)
    with UNSAMPLED.start_as_current_span("job") as span, pytest.raises(NotFoundError) as caught:
        client.get("0" * 15)
    trace_id = f"{span.get_span_context().trace_id:032x}"
    assert caught.value.metadata["trace_id"] == trace_id
    with TRACER.start_as_current_span("job") as later, pytest.raises(NotFoundError):
        client.get("0" * 15)
    context = later.get_span_context()
    eventually(lambda: rpc("GetFile") in collector.under(context.trace_id, context.span_id))
    assert trace_id not in {each["traceId"] for each in collector.spans}


def test_opentelemetry_is_not_loaded_by_the_client(traced: Service) -> None:
    code = (
        "import sys; from asset_service import AssetClient\n"
        f"with AssetClient({traced.url!r}) as client: client.get_many(['0' * 15])\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ), timeout=60)
    assert (said.returncode, said.stdout.strip()) == (0, "[]"), said.stderr

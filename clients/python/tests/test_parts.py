"""Parts of the client that need no service."""

from __future__ import annotations

import hashlib
import os
import pickle
import random
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from support import REPOSITORY

import asset_service
from asset_service import AssetClient, AssetError, RetryPolicy, errors, local_file_name
from asset_service._gen import asset_service_pb2 as pb
from asset_service._gen import error_reason_pb2, file_pb2
from asset_service._hash import WholeHash, crc32c
from asset_service._lean import read_download, write_upload
from asset_service._rpc_errors import from_rpc_error, from_status
from asset_service.errors import FieldViolation, make_error
from asset_service.retry import CallOptions, Retries, is_retriable


def test_lean_messages_are_those_of_the_contract() -> None:
    heads = [
        pb.UploadRequest(),
        pb.UploadRequest(upload_id="x", write_offset=2**40),
        pb.UploadRequest(
            upload_spec=pb.UploadSpec(file=file_pb2.File(name="ä" * 300), size_bytes=0),
            checksums=file_pb2.Checksums(sha256=b"\1" * 32, crc32c=0),
            finish_write=True,
        ),
    ]
    for head in heads:
        for content in (b"", b"x", b"x" * 127, b"x" * 128, os.urandom(100_000)):
            wanted = pb.UploadRequest()
            wanted.CopyFrom(head)
            if content:
                wanted.data.content = content
                wanted.data.crc32c = crc32c(content)
            assert pb.UploadRequest.FromString(write_upload(head, content, crc32c(content))) == wanted


def test_lean_reading_is_that_of_the_contract() -> None:
    file = file_pb2.File(id="x", size_bytes=3)
    full = pb.DownloadFileResponse(file=file, data=pb.ChecksummedData(content=b"abc" * 1000, crc32c=7))
    found = read_download(full.SerializeToString())
    assert (bytes(found.content), found.crc32c, found.file) == (b"abc" * 1000, 7, file)
    nothing = read_download(b"")
    assert (bytes(nothing.content), nothing.crc32c, nothing.file) == (b"", None, None)
    zero = read_download(pb.DownloadFileResponse(data=pb.ChecksummedData(crc32c=0)).SerializeToString())
    assert (bytes(zero.content), zero.crc32c) == (b"", 0)
    # Fields of a later contract, of every wire type.
    unknown = b"\xf8\x01\x96\x01" + b"\xf9\x01" + b"\0" * 8 + b"\xfa\x01\x02ab" + b"\xfd\x01" + b"\0" * 4
    assert read_download(unknown + full.SerializeToString()).content == b"abc" * 1000
    for cut in range(1, 7):
        damaged = full.SerializeToString()[:-cut]
        with pytest.raises(Exception, match="damaged|ends early|parsing"):
            read_download(damaged)


def test_the_hash_of_bytes_that_are_sent_again() -> None:
    data = random.Random(2).randbytes(1000)
    whole = WholeHash(True)
    for start, end in ((0, 300), (100, 200), (250, 700), (700, 700), (0, 1000)):
        whole.update(data[start:end], start)
    sums = whole.finish()
    assert (sums.sha256, sums.crc32c, whole.position) == (hashlib.sha256(data).digest(), crc32c(data), 1000)
    with pytest.raises(RuntimeError):
        whole.update(b"x", 1001)


def test_reasons_with_a_class_of_their_own_exist() -> None:
    of_contract = {name.removeprefix("ERROR_REASON_") for name in error_reason_pb2.ErrorReason.keys()}
    of_client = {
        "DOWNLOAD_DAMAGED",
        "DOWNLOAD_TOO_LARGE",
        "SOURCE_CHANGED",
        "SOURCE_FAILED",
        "SOURCE_NOT_REPEATABLE",
        "TARGET_EXISTS",
        "TARGET_FAILED",
    }
    assert set(errors._BY_REASON) <= of_contract | of_client
    # Every code has a class, so that a reason of a later contract has one too.
    assert set(errors._BY_CODE) == {code.name for code in grpc.StatusCode} - {"OK", "UNKNOWN"}


def test_errors_can_be_pickled() -> None:
    error = make_error(
        "NOT_FOUND",
        "no such file",
        reason="FILE_NOT_FOUND",
        metadata={"file_id": "x"},
        retry_after=1.5,
        field_violations=[FieldViolation("a", "b")],
        request_id="r",
    )
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is errors.NotFoundError
    assert vars(copy) == vars(error)
    assert str(copy) == "no such file (NOT_FOUND FILE_NOT_FOUND)"


def test_details_of_an_error() -> None:
    status = status_pb2.Status(code=8, message="slow down")
    status.details.add().Pack(
        error_details_pb2.ErrorInfo(reason="ERROR_REASON_RATE_LIMITED", metadata={"limit": "reads"})
    )
    status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=Duration(seconds=2, nanos=500_000_000)))
    error = from_status(status)
    assert (type(error), error.reason, error.retry_after) == (errors.LimitError, "RATE_LIMITED", 2.5)
    assert error.metadata == {"limit": "reads"}
    # A reason of a later contract has the class of its code.
    later = status_pb2.Status(code=5, message="")
    later.details.add().Pack(error_details_pb2.ErrorInfo(reason="ERROR_REASON_LATER"))
    assert (type(from_status(later)), from_status(later).reason) == (errors.NotFoundError, "LATER")


class Failure(grpc.RpcError):
    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        self._code, self._details = code, details

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._details

    def trailing_metadata(self) -> Any:
        return None


@pytest.mark.parametrize(
    ("code", "text", "wanted"),
    [
        (
            "UNAVAILABLE",
            "failed to connect to all addresses; last error: Connection refused",
            "UNAVAILABLE CONNECTION_LOST",
        ),
        ("CANCELLED", "Received RST_STREAM with error code 8", "UNAVAILABLE CONNECTION_LOST"),
        ("INTERNAL", "Received RST_STREAM with error code 2", "UNAVAILABLE CONNECTION_LOST"),
        ("INTERNAL", "Internal error from Core", "UNAVAILABLE CONNECTION_LOST"),
        ("UNKNOWN", "Stream removed", "UNAVAILABLE CONNECTION_LOST"),
        ("UNAVAILABLE", "Ssl handshake failed: SSL_ERROR_SSL: CERTIFICATE_VERIFY_FAILED", "UNAVAILABLE TLS_FAILED"),
        (
            "RESOURCE_EXHAUSTED",
            "CLIENT: Received message larger than max (5 vs. 4)",
            "RESOURCE_EXHAUSTED MESSAGE_TOO_LARGE",
        ),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", "DEADLINE_EXCEEDED None"),
        ("INTERNAL", "something else", "INTERNAL None"),
    ],
)
def test_errors_that_grpc_makes(code: str, text: str, wanted: str) -> None:
    error = from_rpc_error(Failure(grpc.StatusCode[code], text))
    assert f"{error.code} {error.reason}" == wanted


def test_what_is_retried() -> None:
    def retriable(code: str, reason: str | None = None) -> bool:
        return is_retriable(make_error(code, "", reason=reason))

    assert retriable("UNAVAILABLE") and retriable("RESOURCE_EXHAUSTED") and retriable("ABORTED", "CONCURRENT_CHANGE")
    assert not retriable("UNAVAILABLE", "TLS_FAILED")
    assert not retriable("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED")
    assert not retriable("ABORTED", "ETAG_MISMATCH")
    assert not retriable("INTERNAL")
    policy = RetryPolicy(retries=3, base_delay=1, max_delay=3)
    retries = Retries(policy, CallOptions(0, {}))
    delays = [retries.delay(make_error("UNAVAILABLE", "")) for _ in range(3)]
    for delay, bound in zip(delays, (1, 2, 3), strict=True):
        assert bound / 2 <= delay <= bound
    last = make_error("UNAVAILABLE", "")
    with pytest.raises(AssetError) as caught:
        retries.delay(last)
    assert caught.value is last
    retries.progressed()
    assert 7 <= retries.delay(make_error("UNAVAILABLE", "", retry_after=7)) <= 7.5
    # No time is left to wait: the failure says more than that the time is over.
    with pytest.raises(errors.UnavailableError):
        Retries(policy, CallOptions(0.1, {})).delay(last)
    renewed = make_error("UNAUTHENTICATED", "", token_renewed=True)
    once = Retries(policy, CallOptions(0, {}))
    assert once.delay(renewed) == 0
    with pytest.raises(errors.UnauthenticatedError):
        once.delay(renewed)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "_.._etc_passwd"),
        (".hidden", "hidden"),
        ("-rf", "rf"),
        ("a\u202eb\x00c", "a_b_c"),
        ("con.txt", "_con.txt"),
        ("a. ", "a"),
        ("...", "id"),
        ("", "id"),
        ("ä" * 200 + ".jpeg", "ä" * 125 + ".jpeg"),
        ("x" * 300, "x" * 255),
    ],
)
def test_local_names_are_safe(name: str, wanted: str) -> None:
    assert local_file_name(name, "id") == wanted


@pytest.mark.parametrize(
    "options",
    [
        {"target": ""},
        {"target": "ftp://x"},
        {"target": "http://x/path"},
        {"target": "http://user@x"},
        {"target": "http://x:99999"},
        {"target": "a b"},
        {"target": 3},
        {"token": 3},
        {"tls": True},
        {"retry": 3},
        {"timeout": -1},
        {"timeout": "3"},
        {"keepalive": float("nan")},
        {"headers": {"authorization": "x"}},
        {"headers": {"x": "\n"}},
        {"tls": asset_service.TLS()},
    ],
)
def test_options_are_checked(options: dict[str, object]) -> None:
    with pytest.raises(errors.InvalidArgumentError) as caught:
        AssetClient(**{"target": "http://127.0.0.1:1", **options})  # type: ignore[arg-type]
    assert caught.value.reason == "OPTION_INVALID"


def test_generated_code_is_current(tmp_path: Path) -> None:
    pytest.importorskip("grpc_tools")
    project = REPOSITORY / "clients" / "python"
    for tool in ("generate_contract.py", "generate_sync.py"):
        subprocess.run([sys.executable, project / "tools" / tool, tmp_path], check=True)
    made = [path.relative_to(tmp_path) for path in tmp_path.rglob("*.py*")]
    assert len(made) > 10
    for path in made:
        assert (tmp_path / path).read_text() == (project / "src" / path).read_text(), (
            f"run npm run generate:python: {path}"
        )


def test_the_package_works_beside_code_from_the_same_contract(tmp_path: Path) -> None:
    pytest.importorskip("grpc_tools")
    pytest.importorskip("protovalidate")
    script = f"""
import sys
from grpc_tools import protoc
from importlib.resources import files
root, out = {str(REPOSITORY)!r}, {str(tmp_path)!r}
names = ["asset/v1/file.proto", "asset/v1/error_reason.proto", "asset/v1/asset_service.proto", "buf/validate/validate.proto"]
args = ["protoc", f"-I{{root}}/proto", f"-I{{root}}/third_party", f"-I{{files('grpc_tools') / '_proto'}}"]
assert protoc.main([*args, f"--python_out={{out}}", *names]) == 0
sys.path.insert(0, out)
from asset_service._gen import file_pb2 as ours
from asset.v1 import file_pb2 as theirs
import protovalidate
message = ours.File(id="x", relations={{"project": ours.RelationTargets(ids=["a"])}})
assert theirs.File.FromString(message.SerializeToString()).relations["project"].ids == ["a"]
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)


def test_the_version_is_that_of_the_other_packages() -> None:
    import json

    project = tomllib.loads((REPOSITORY / "clients" / "python" / "pyproject.toml").read_text())["project"]
    assert project["version"] == asset_service.__version__
    for package in ("gen/ts", "clients/core", "clients/worker", "clients/bff"):
        assert json.loads((REPOSITORY / package / "package.json").read_text())["version"] == project["version"]

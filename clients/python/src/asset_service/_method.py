"""The description of an RPC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from google.protobuf.message import Message

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)


@dataclass(frozen=True, eq=False)
class Method(Generic[Request, Response]):
    """One RPC: its path on the wire and the types of its messages."""

    path: str
    request: type[Request]
    response: type[Response]

    @property
    def name(self) -> str:
        """The name of the RPC, such as `GetFile`."""
        return self.path.rsplit("/", 1)[1]

"""Messages of the Model Context Protocol: JSON-RPC 2.0, one a request, whose headers repeat what stands in the body.

Two kinds of clients are served at one address, neither with a session: those of `CURRENT`, whose every request says its
version in its body and its headers, and those of before, which begin with `initialize`.

Source: https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http
"""

import binascii
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from werkzeug.datastructures import Headers

CURRENT = "2026-07-28"
FORMER = ("2025-11-25", "2025-06-18", "2025-03-26")  # newest first
PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS = -32700, -32600, -32601, -32602
HEADER_MISMATCH, UNSUPPORTED_VERSION = -32020, -32022
VERSION_HEADER, METHOD_HEADER, NAME_HEADER = "MCP-Protocol-Version", "Mcp-Method", "Mcp-Name"
_VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
_CAPABILITIES_KEY = "io.modelcontextprotocol/clientCapabilities"
_NAMED_BY = {"tools/call": "name", "resources/read": "uri"}  # which parameter Mcp-Name repeats
_LONGEST_ID, _LARGEST_ID = 255, 2**53 - 1
_LONGEST_METHOD = 100


class RpcError(Exception):
    """A refusal in JSON-RPC; *status* is that of the HTTP response, for clients of the current version."""

    def __init__(self, code: int, message: str, *, status: int = 400, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.status, self.data = code, message, status, data


@dataclass(frozen=True, slots=True)
class Message:
    """A request, or a notification, whose `id` is None."""

    id: str | int | None
    method: str
    params: Mapping[str, Any]


def parse_message(value: object) -> Message:
    """The message that a body holds.

    Raises:
        RpcError: it is none, or several.
    """
    if isinstance(value, list):
        raise RpcError(INVALID_REQUEST, "Batches are not supported: send each message in a request of its own.")
    if not isinstance(value, dict) or value.get("jsonrpc") != "2.0":
        raise RpcError(INVALID_REQUEST, 'Send a JSON-RPC message: an object with "jsonrpc": "2.0" and a method.')
    method, params = value.get("method"), value.get("params", {})
    if not isinstance(method, str) or not 0 < len(method) <= _LONGEST_METHOD:
        raise RpcError(INVALID_REQUEST, f"method has to be a text of 1 to {_LONGEST_METHOD} characters.")
    if not isinstance(params, dict):
        raise RpcError(INVALID_REQUEST, "params has to be an object.")
    if "id" not in value:
        return Message(None, method, params)
    if not _is_id(value["id"]):
        raise RpcError(
            INVALID_REQUEST, f"id has to be a text of up to {_LONGEST_ID} characters, or a whole number below 2^53."
        )
    return Message(value["id"], method, params)


def _is_id(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST_ID
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST_ID


def read_version(message: Message, headers: Headers) -> str:
    """The version of the protocol that the message is in.

    Raises:
        RpcError: a header and the body say different things, something is missing, or the version is not served.
    """
    named = headers.get(VERSION_HEADER)
    meta = message.params.get("_meta")
    meta = meta if isinstance(meta, dict) else {}
    if named in FORMER:
        if _VERSION_KEY in meta:  # which only requests of the current version have
            _check_header(VERSION_HEADER, named, meta[_VERSION_KEY])
        return str(named)
    if named is None and _VERSION_KEY not in meta:
        return FORMER[-1]  # its clients send none, nor do later ones with `initialize`
    if named not in (None, CURRENT) and meta.get(_VERSION_KEY, named) == named:
        raise _refuse_version(str(named))
    if message.id is not None:  # of notifications the specification requires no headers
        _check_envelope(meta)
        _check_header(VERSION_HEADER, named, meta[_VERSION_KEY])
        _check_header(METHOD_HEADER, headers.get(METHOD_HEADER), message.method)
        if parameter := _NAMED_BY.get(message.method):
            _check_header(NAME_HEADER, _decode(headers.get(NAME_HEADER)), message.params.get(parameter))
    return CURRENT


def _refuse_version(named: str) -> RpcError:
    data = {"supported": [CURRENT, *FORMER], "requested": named[:40]}
    return RpcError(UNSUPPORTED_VERSION, "Unsupported protocol version", data=data)


def _check_envelope(meta: Mapping[str, Any]) -> None:
    missing = [key for key in (_VERSION_KEY, _CAPABILITIES_KEY) if key not in meta]
    if missing:
        raise RpcError(INVALID_PARAMS, f"params._meta has to hold {' and '.join(missing)}.")
    if not isinstance(meta[_CAPABILITIES_KEY], dict):
        raise RpcError(INVALID_PARAMS, f"{_CAPABILITIES_KEY} has to be an object.")


def _check_header(name: str, value: str | None, expected: object) -> None:
    if value is None:
        raise RpcError(HEADER_MISMATCH, f"Header mismatch: {name} is missing or malformed.")
    if value != expected:
        raise RpcError(HEADER_MISMATCH, f"Header mismatch: {name} says something else than the body.")


def _decode(value: str | None) -> str | None:
    """A header's value, which may be packed as `=?base64?…?=`; None where that is malformed."""
    if value is None or not (value.startswith("=?base64?") and value.endswith("?=")):
        return value
    try:
        return b64decode(value[len("=?base64?") : -len("?=")], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None

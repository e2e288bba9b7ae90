"""Servers of the Model Context Protocol over HTTP: which tools they have, and calls of these.

In the protocol's current version, or with a handshake for each call, as servers of before want it. Nothing that a
server sends beside its answer is acted on, and no server is ever started as a program.

Source: https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp

from utils.errors import BadInput
from utils.outbound import AnswerTooLarge, Guard, open_session, read_at_most
from utils.strict_json import read_json

Json = dict[str, Any]
CURRENT, FORMER = "2026-07-28", "2025-11-25"
TOOL_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}", re.ASCII)
_VERSION = re.compile(r"[0-9-]{1,20}", re.ASCII)
_META = "io.modelcontextprotocol/"
_CLIENT = {"name": "pustaka", "version": "1"}
_LARGEST_ANSWER = 2**20
_MAX_PAGES = 20
_LONGEST_REASON = 300  # characters
_TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=5)
_EVENTS, _SESSION = "text/event-stream", "Mcp-Session-Id"


class McpServerError(Exception):
    """A server cannot be used, or refused; the message is for people and models, without secrets."""


@dataclass(frozen=True, slots=True)
class McpServer:
    """A server at *url*, sent *headers* with each request, which *guard* keeps from private addresses."""

    url: str
    guard: Guard
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    version: str = CURRENT
    timeout_s: float = 60.0  # for all that is asked in one go

    async def find_tools(self) -> tuple[str, list[Json]]:
        """The version of the protocol that the server speaks, and its tools as it describes them.

        Raises:
            McpServerError: it does not answer as such a server.
        """
        try:
            return CURRENT, await replace(self, version=CURRENT).list_tools()
        except McpServerError:
            return FORMER, await replace(self, version=FORMER).list_tools()

    async def list_tools(self) -> list[Json]:
        """Its tools, in its own words.

        Raises:
            McpServerError: it does not answer as such a server.
        """
        tools: list[Json] = []
        async with self._open() as connection:
            cursor: Json = {}
            for _ in range(_MAX_PAGES):
                page = await connection.request("tools/list", cursor)
                tools += [tool for tool in page.get("tools", ()) if isinstance(tool, dict)]
                if not isinstance(page.get("nextCursor"), str):
                    return tools
                cursor = {"cursor": page["nextCursor"]}
        raise McpServerError("Its list of tools does not end.")

    async def call(self, tool: str, arguments: Mapping[str, Any], *, idempotency_key: str) -> str:
        """What a tool says in text; *idempotency_key* is sent along as a header.

        Raises:
            McpServerError: it failed, or wants more than arguments.
        """
        async with self._open() as connection:
            call = {"name": tool, "arguments": dict(arguments)}
            result = await connection.request("tools/call", call, {"Idempotency-Key": idempotency_key})
        if result.get("resultType", "complete") != "complete":
            raise McpServerError("The tool asks for more than its arguments, which is not supported.")
        text = _read_text(result)
        if result.get("isError"):
            raise McpServerError(text[:_LONGEST_REASON] or "The tool failed and does not say why.")
        return text

    @asynccontextmanager
    async def _open(self) -> AsyncIterator["_Connection"]:
        options: Json = {"connections": 1, "idle_s": 15, "guard": self.guard}
        try:
            async with (
                asyncio.timeout(self.timeout_s),
                open_session(self.url, headers=self.headers, timeout=_TIMEOUT, **options) as http,
            ):
                connection = _Connection(http, self.url, self.version)
                if self.version != CURRENT:
                    await connection.shake_hands()
                yield connection
                await connection.leave()
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            raise McpServerError(_explain(exc)) from exc


class _Connection:
    """Requests to a server, one after another."""

    def __init__(self, http: aiohttp.ClientSession, url: str, version: str) -> None:
        self._http, self._url, self._version = http, url, version
        self._headers: dict[str, str] = {"Accept": f"application/json, {_EVENTS}", "Content-Type": "application/json"}
        self._number = 0

    async def shake_hands(self) -> None:
        """Begin as servers of former versions want it."""
        params = {"protocolVersion": self._version, "capabilities": {}, "clientInfo": _CLIENT}
        result = await self.request("initialize", params)
        version = result.get("protocolVersion")
        if not isinstance(version, str) or not _VERSION.fullmatch(version):
            raise McpServerError("It does not say which version of MCP it speaks.")
        self._headers["MCP-Protocol-Version"] = version
        await self._post({"jsonrpc": "2.0", "method": "notifications/initialized"}, {})

    async def leave(self) -> None:
        """End the session, where the server has begun one."""
        if _SESSION in self._headers:
            with suppress(aiohttp.ClientError, OSError):
                async with self._http.delete(self._url, headers=self._headers, allow_redirects=False):
                    pass

    async def request(self, method: str, params: Json, headers: Mapping[str, str] | None = None) -> Json:
        """The result of one request.

        Raises:
            McpServerError: there is none.
        """
        self._number += 1
        sent = {**self._headers, **(headers or {})}
        if self._version == CURRENT:
            meta = {"protocolVersion": CURRENT, "clientInfo": _CLIENT, "clientCapabilities": {}}
            params = {**params, "_meta": {f"{_META}{name}": value for name, value in meta.items()}}
            sent |= {"MCP-Protocol-Version": CURRENT, "Mcp-Method": method}
            sent |= {"Mcp-Name": params["name"]} if "name" in params else {}
        message = await self._post({"jsonrpc": "2.0", "id": self._number, "method": method, "params": params}, sent)
        if isinstance(error := message.get("error"), dict):
            raise McpServerError(str(error.get("message", "It refuses without a reason."))[:_LONGEST_REASON])
        if not isinstance(result := message.get("result"), dict):
            raise McpServerError("It does not answer as an MCP server.")
        return result

    async def _post(self, message: Json, headers: Mapping[str, str]) -> Json:
        sent = {**self._headers, **headers}
        body = json.dumps(message).encode()
        async with self._http.post(self._url, data=body, headers=sent, allow_redirects=False) as response:
            data = await read_at_most(response, _LARGEST_ANSWER)
            if 300 <= response.status < 400:
                raise McpServerError("It redirects to another address: use that one.")
            if session := response.headers.get(_SESSION):
                self._headers[_SESSION] = session
            if "id" not in message:
                return {}
            answer = _find_answer(data, response.content_type, message["id"])
        if answer is None:
            raise McpServerError(f"It does not answer as an MCP server (status {response.status}).")
        return answer


def _find_answer(data: bytes, media_type: str, number: int) -> Json | None:
    """The answer to request *number*, alone or among events."""
    messages = _list_events(data) if media_type == _EVENTS else [data]
    for each in messages:
        with suppress(ValueError, BadInput):
            message = read_json(each)
            if isinstance(message, dict) and ("error" in message or message.get("id") == number):
                return message
    return None


def _list_events(data: bytes) -> list[bytes]:
    """What each event of a stream carries: https://html.spec.whatwg.org/multipage/server-sent-events.html"""
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    blocks = (block.split(b"\n") for block in lines.split(b"\n\n"))
    return [b"\n".join(line[5:] for line in block if line.startswith(b"data:")) for block in blocks]


def _read_text(result: Json) -> str:
    parts = result.get("content")
    parts = parts if isinstance(parts, list) else []
    texts = [part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str)]
    if not texts and "structuredContent" in result:
        return json.dumps(result["structuredContent"], ensure_ascii=False)
    return "\n\n".join(texts)


def _explain(error: Exception) -> str:
    if isinstance(error, AnswerTooLarge):
        return "It answers with more than is read."
    if isinstance(error, TimeoutError):
        return "It does not answer in time."
    refused = error if isinstance(error, PermissionError) else getattr(error, "os_error", None)
    if isinstance(refused, PermissionError):
        return f"{refused} MCP_NETWORKS opens private ones."
    return "It cannot be reached."

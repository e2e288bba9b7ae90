"""Tools of the tests, over HTTP: a module for TOOL_MODULES. `BOOKING_URL` says where `booking_server.py` is."""

import asyncio
import os
from collections.abc import Sequence
from typing import Any

import httpx

from agents.tools.tool import Tool, ToolCall, ToolFailed, ToolResult
from auth.scopes import Scope

_DAY = {"type": "string", "format": "date", "description": "The day, as 2026-12-31."}
_ROOM = {"type": "integer", "minimum": 1, "maximum": 99, "description": "The number of the room."}
_CITY = {"type": "string", "enum": ["Bandung", "Jakarta", "Madrid", "London"]}


def _schema(required: Sequence[str] = (), **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


async def _ask(method: str, path: str, **options: Any) -> ToolResult:
    async with httpx.AsyncClient(base_url=os.environ["BOOKING_URL"], timeout=60, trust_env=False) as http:
        return ToolResult((await http.request(method, path, **options)).text)


async def _book(call: ToolCall) -> ToolResult:
    headers = {"Idempotency-Key": call.idempotency_key}
    return await _ask("POST", "/bookings", json=dict(call.arguments), headers=headers)


async def _weather(call: ToolCall) -> ToolResult:
    return await _ask("GET", "/weather", params={"city": call.arguments["city"]})


async def _who(call: ToolCall) -> ToolResult:
    return ToolResult(f"The tenant is {call.principal.tenant_id}, the subject {call.principal.subject_id}.")


async def _break(call: ToolCall) -> ToolResult:
    raise RuntimeError("the password is hunter2")


async def _exit(call: ToolCall) -> ToolResult:
    raise SystemExit(3)


async def _cancel(call: ToolCall) -> ToolResult:
    raise asyncio.CancelledError


async def _refuse(call: ToolCall) -> ToolResult:
    raise ToolFailed("Room 7 is taken\non that day.")


def make_tools() -> list[Tool]:
    """All of them."""
    return [
        Tool(
            "book_room",
            "Books a meeting room for a day.",
            _schema(("room", "day"), room=_ROOM, day=_DAY),
            _book,
            has_side_effects=True,
        ),
        Tool(
            "weather", "Tells the weather and the temperature in a city now.", _schema(("city",), city=_CITY), _weather
        ),
        Tool("who_asks", "Tells which tenant asks.", _schema(), _who, scopes=frozenset({Scope.DOCUMENTS_READ})),
        Tool("never", "Does not answer.", _schema(), lambda call: _ask("GET", "/never"), timeout_s=0.5),
        Tool("huge", "Gives ten megabytes.", _schema(), lambda call: _ask("GET", "/huge")),
        Tool("broken", "Fails.", _schema(), _break),
        Tool("exits", "Ends the program.", _schema(), _exit),
        Tool("cancels", "Cancels itself.", _schema(), _cancel),
        Tool("full", "Has no room left.", {"type": "object"}, _refuse),
    ]

"""Tools as an institution may have them, for `benchmarks/planners.py`. None of them is ever called."""

from collections.abc import Sequence
from typing import Any

from agents.tools.tool import Tool, ToolCall, ToolResult

_DAY = {"type": "string", "format": "date", "description": "As 2026-12-31."}
_CURRENCY = {"type": "string", "enum": ["IDR", "EUR", "USD", "GBP", "JPY"]}


def _schema(required: Sequence[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


async def _refuse(call: ToolCall) -> ToolResult:
    raise RuntimeError("decisions are measured, not calls")


def make_tools() -> list[Tool]:
    """Six: four that look something up, two that change something."""
    city = {"type": "string", "enum": ["Bandung", "Jakarta", "Madrid", "London", "Surabaya"]}
    order = {"type": "string", "pattern": "^[A-Z]-[0-9]{5}$", "description": "As on the receipt: A-12345."}
    room = {"type": "integer", "minimum": 1, "maximum": 99}
    amount = {"type": "number", "exclusiveMinimum": 0}
    return [
        Tool("weather", "Tells the weather and the temperature in a city now.", _schema(["city"], city=city), _refuse),
        Tool(
            "order_status",
            "Tells where an order or a parcel is, and when it arrives.",
            _schema(["order"], order=order),
            _refuse,
        ),
        Tool(
            "convert_to_rupiah",
            "Converts an amount of foreign money into rupiah at today's exchange rate.",
            _schema(["amount", "currency"], amount=amount, currency=_CURRENCY),
            _refuse,
        ),
        Tool(
            "free_seats", "Tells how many seats in the library are free on a day.", _schema(["day"], day=_DAY), _refuse
        ),
        Tool(
            "book_room",
            "Books a meeting room for a day.",
            _schema(["room", "day"], room=room, day=_DAY),
            _refuse,
            has_side_effects=True,
        ),
        Tool(
            "cancel_order",
            "Cancels an order that was not sent yet.",
            _schema(["order"], order=order),
            _refuse,
            has_side_effects=True,
        ),
    ]

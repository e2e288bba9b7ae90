"""The port of tools: arguments held to their schema, and read from a question where no language model does it."""

from typing import Any

import pytest

from agents.tools.registry import ToolRegistry
from agents.tools.rules import read_arguments
from agents.tools.tool import Tool, ToolCall, ToolResult, UnusableTool
from utils.errors import BadInput


async def run(call: ToolCall) -> ToolResult:
    return ToolResult("Done.")


def tool(name: str = "book", **properties: Any) -> Tool:
    schema = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    return Tool(name, "Books.", schema, run)


DAY = {"type": "string", "format": "date"}
ROOM = {"type": "integer", "minimum": 1, "maximum": 99}
CITY = {"type": "string", "enum": ["Bandung", "New York", "Málaga"]}
ORDER = {"type": "string", "pattern": "^[A-Z]-[0-9]{5}$"}
AMOUNT = {"type": "number", "exclusiveMinimum": 0}


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"room": 7, "day": "2026-12-24"}, ""),
        ({"room": 7}, "'day' is a required property"),
        ({"room": 0, "day": "2026-12-24"}, "room: 0 is less than the minimum of 1"),
        ({"room": "7", "day": "2026-12-24"}, "room: '7' is not of type 'integer'"),
        ({"room": 7, "day": "24.12."}, "day: '24.12.' is not a 'date'"),
        ({"room": 7, "day": "2026-12-24", "x": 1}, "Additional properties are not allowed ('x' was unexpected)"),
        (None, "None is not of type 'object'"),
        ([], "[] is not of type 'object'"),
    ],
)
def test_arguments_that_do_not_fit_are_named(arguments: object, fault: str) -> None:
    assert tool(room=ROOM, day=DAY).find_fault(arguments) == fault


def test_a_fault_does_not_repeat_a_whole_novel() -> None:
    assert len(tool(room=ROOM).find_fault({"room": "x" * 100_000})) < 300


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("Book", {"type": "object"}),
        ("", {"type": "object"}),
        ("a" * 49, {"type": "object"}),
        ("book", {"type": "array"}),
        ("book", {}),
        ("book", {"type": "object", "properties": {"room": {"type": "number!"}}}),
    ],
)
def test_a_tool_that_cannot_be_offered_says_why(name: str, schema: dict[str, Any]) -> None:
    with pytest.raises(UnusableTool):
        Tool(name, "Books.", schema, run)


def test_two_tools_of_one_name_and_unknown_ones_are_refused() -> None:
    with pytest.raises(UnusableTool, match="two tools with the name 'book'"):
        ToolRegistry([tool(), tool()])
    registry = ToolRegistry([tool(), tool("search_documents"), tool("other")])
    assert [each.name for each in registry.choose(["book", "gone", "book"])] == ["search_documents", "book"]
    with pytest.raises(BadInput, match="There are: book, other, search_documents"):
        registry.check(["book", "gone"], field="tools")


@pytest.mark.parametrize(
    ("properties", "question", "found"),
    [
        ({"city": CITY}, "What is the weather in bandung?", {"city": "Bandung"}),
        ({"city": CITY}, "Weather in New  York now", {"city": "New York"}),
        ({"city": CITY}, "¿Qué tiempo hace en Malaga?", {"city": "Málaga"}),
        ({"city": CITY}, "What is the weather?", None),
        ({"city": CITY}, "Bandung or New York?", None),
        ({"city": CITY}, "Is Bandungan nice?", None),
        ({"room": ROOM, "day": DAY}, "Book room 7 for 24 December 2026", {"room": 7, "day": "2026-12-24"}),
        ({"room": ROOM, "day": DAY}, "Sala 5 para el 11 de diciembre de 2026", {"room": 5, "day": "2026-12-11"}),
        ({"room": ROOM, "day": DAY}, "Book room 7", None),
        ({"room": ROOM, "day": DAY}, "Book room 7 or 8 for 2026-12-24", None),
        ({"room": ROOM, "day": DAY}, "Book room 700 for 2026-12-24", None),
        ({"day": DAY}, "On 3/4/2026?", None),  # April or March
        ({"day": DAY}, "On 24 December?", None),
        ({"order": ORDER}, "Where is A-10442?", {"order": "A-10442"}),
        ({"order": ORDER}, "Where is A-104429?", None),
        ({"order": ORDER}, "Where is A-10442 or B-10442?", None),
        ({"amount": AMOUNT}, "Convert 12.5 please", {"amount": 12.5}),
        ({"amount": AMOUNT}, "Convert 1,200", None),  # or 1.2
        ({"first": AMOUNT, "second": AMOUNT}, "Add 3 and 4", None),
        ({"title": {"type": "string"}}, "Call it “Autumn party”", {"title": "Autumn party"}),
        ({"title": {"type": "string"}}, "Call it something nice", None),
        ({"flag": {"type": "boolean"}}, "Yes, true!", None),
        ({}, "Anything", {}),
    ],
)  # fmt: skip
def test_arguments_are_read_from_a_question_and_never_made_up(
    properties: dict[str, Any], question: str, found: dict[str, Any] | None
) -> None:
    assert read_arguments(tool(**properties), question) == found

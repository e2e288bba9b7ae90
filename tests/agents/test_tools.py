"""The port of tools: arguments held to their schema, and read from a question where no language model does it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np
import pytest

from agents.bots import BotConfig
from agents.nodes.tools import find_independent, make_calls
from agents.tools.registry import ToolRegistry
from agents.tools.rule_planner import read_arguments
from agents.tools.state import CallRecord, add_call, add_result, judge_results, list_hits, load_state
from agents.tools.tool import Tool, ToolCall, ToolFailed, ToolResult, UnusableTool
from agents.tools.turn import Approval, ToolLimits, ToolService, TurnTools
from auth.operators import make_operator
from auth.principal import Principal
from auth.scopes import Scope
from retrieval.answerability import Verdict
from retrieval.search import SearchResult
from utils.errors import BadInput, StoreUnavailable
from utils.passages import Hit, Passage


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


async def allow(principal: Principal, *needed: Scope) -> Principal:
    return principal


async def is_wanted() -> bool:
    return False


async def is_cancelled() -> bool:
    return True


async def cannot_be_known() -> bool:
    raise StoreUnavailable("Redis is away.")


def open_turn(
    *tools: Tool,
    is_durable: bool = True,
    is_unwanted: Callable[[], Awaitable[bool]] = is_wanted,
    seconds: float = 60.0,
) -> TurnTools:
    service = ToolService(ToolRegistry(tools), allow, ToolLimits(seconds=seconds))
    bot = BotConfig(tools=tuple(each.name for each in tools))
    turn = service.open_turn(make_operator("default"), bot, None, lambda: is_durable, is_unwanted)
    assert turn is not None
    return turn


def ask_for(name: str) -> CallRecord:
    work = load_state(None, "run")
    add_call(work, name, {})
    return work["calls"][0]


async def test_nothing_is_changed_while_it_could_not_be_kept() -> None:
    acting = replace(tool(), has_side_effects=True)
    assert (await open_turn(acting).call(ask_for("book"))).text == "Done."
    with pytest.raises(ToolFailed, match="a tool that changes something is not called"):
        await open_turn(acting, is_durable=False).call(ask_for("book"))
    assert (await open_turn(tool(), is_durable=False).call(ask_for("book"))).text == "Done."


@pytest.mark.parametrize(
    ("is_unwanted", "reason"), [(is_cancelled, "was cancelled"), (cannot_be_known, "is not available")]
)
async def test_nothing_is_changed_once_the_turn_was_cancelled(
    is_unwanted: Callable[[], Awaitable[bool]], reason: str
) -> None:
    acting = replace(tool(), has_side_effects=True)
    with pytest.raises(ToolFailed, match=reason):
        await open_turn(acting, is_unwanted=is_unwanted).call(ask_for("book"))
    assert (await open_turn(tool(), is_unwanted=is_unwanted).call(ask_for("book"))).text == "Done."


async def test_calls_that_change_nothing_are_made_at_once_and_others_alone() -> None:
    both = asyncio.Barrier(2)

    async def meet(call: ToolCall) -> ToolResult:
        await both.wait()  # for the other one
        return ToolResult(f"{call.arguments['room']}.")

    reading, acting = replace(tool("look"), run=meet), replace(tool("act"), has_side_effects=True)
    turn, work, events = open_turn(reading, acting, tool("wrong"), seconds=5), load_state(None, "run"), list[Any]()
    for name, room in (("look", 1), ("look", 2), ("act", 3), ("look", 4)):
        add_call(work, name, {"room": room})
    calls = find_independent(work["calls"], turn)
    assert [each["arguments"]["room"] for each in calls] == [1, 2]
    results = await make_calls(calls, turn, None, events.append)
    assert [each.text for each in results if each] == ["1.", "2."]
    assert [each["type"] for each in events] == ["tool_start", "tool_start", "tool_result", "tool_result"]
    for each in calls:
        each["status"] = "done"
    assert [each["name"] for each in find_independent(work["calls"], turn)] == ["act"]
    gone = ask_for("gone")
    assert await make_calls([gone], turn, None, events.append) == [None]
    assert (gone["status"], events[-1]["ok"], events[-1]["summary"]) == ("failed", False, gone["error"])
    careful = replace(turn, bot=replace(turn.bot, approvals=("look",)))
    assert len(find_independent(work["calls"][3:], careful)) == 1


def test_an_approval_is_of_the_call_that_was_shown_and_of_no_other() -> None:
    service = ToolService(ToolRegistry([tool()]), allow)
    bot = BotConfig(tools=("book",), approvals=("book",))
    shown, other = load_state(None, "run-1"), load_state(None, "run-1")
    add_call(shown, "book", {"room": 7})
    add_call(other, "book", {"room": 8})
    said = Approval.read(Approval(shown["calls"][0]["call_id"], True).store())
    turn = service.open_turn(make_operator("default"), bot, said, lambda: True, is_wanted)
    assert turn is not None
    assert not turn.waits(shown["calls"][0])
    assert turn.waits(other["calls"][0])
    assert Approval.read("") is None


async def test_a_tool_that_takes_no_notice_of_its_end_holds_up_nobody() -> None:
    ended = asyncio.Event()

    async def insist(call: ToolCall) -> ToolResult:
        while not ended.is_set():
            with suppress(asyncio.CancelledError):
                await ended.wait()
        raise RuntimeError("nobody waits for it any more")

    with pytest.raises(TimeoutError):
        await open_turn(replace(tool(), run=insist, timeout_s=0.01)).call(ask_for("book"))
    ended.set()
    await asyncio.sleep(0)


async def test_a_call_gets_no_more_time_than_the_turn_has() -> None:
    async def wait(call: ToolCall) -> ToolResult:
        await asyncio.sleep(60)
        return ToolResult("Late.")

    turn = open_turn(replace(tool(), run=wait, timeout_s=60), seconds=0.01)
    with pytest.raises(TimeoutError):
        await turn.call(ask_for("book"))
    assert turn.find_limit(load_state(None, "run")) == "Tools took 0.01 s."


def test_what_was_found_survives_being_kept_as_plain_values() -> None:
    passage = Passage("p", "d", "T", "t.md", None, 3, "A › B", 5, 9, "en", "Text", 2, "set", ("a=b",), seams=(1, 2))
    hit = Hit(passage, np.float32(0.5), np.float32(0.25), 1.0, 1, None)  # type: ignore[arg-type] # as an index gives them
    work = load_state(None, "run")
    add_call(work, "search_documents", {"query": "q"})
    found = SearchResult([hit, hit], None, Verdict(True, 1.5, True), [])
    add_result(work, work["calls"][0], ToolResult(found=found))
    kept = json.loads(json.dumps(work))
    assert list_hits(load_state(kept, "run")) == [hit, hit][:1]
    assert judge_results(kept).answerable
    assert load_state(kept, "another run")["calls"] == []


def gives(result: Any) -> Tool:
    async def give(call: ToolCall) -> Any:
        return result

    return replace(tool(), run=give, has_side_effects=True)


def fails(failure: BaseException) -> Tool:
    async def fail(call: ToolCall) -> ToolResult:
        raise failure

    return replace(tool(), run=fail, has_side_effects=True)


DEEP = reduce(lambda inner, _: {"in": inner}, range(5_000), dict[str, Any]())


@pytest.mark.parametrize(
    "acting",
    [
        gives(ToolResult(text=b"bytes")),  # type: ignore[arg-type]
        gives(ToolResult(text=["a", "list"])),  # type: ignore[arg-type]
        gives(ToolResult("Text.", data={"value": object()})),
        gives(ToolResult("Text.", data=DEEP)),
        gives(ToolResult("Text.", data={"value": float("nan")})),
        gives(ToolResult("Text.", table={})),  # type: ignore[arg-type]
        gives(ToolResult("Text.", chart={"spec": object()})),
        gives(ToolResult("Text.", rest=[["row"]])),
        gives(None),
        fails(BaseException("of a library")),
        fails(BaseExceptionGroup("of several", [SystemExit(3)])),
        fails(GeneratorExit()),
        fails(SystemExit(1)),
        fails(KeyboardInterrupt()),
        fails(asyncio.CancelledError()),
    ],
)
async def test_of_a_tool_that_breaks_nobody_knows_what_it_changed(acting: Tool) -> None:
    call, events = ask_for("book"), list[Any]()
    assert await make_calls([call], open_turn(acting), None, events.append) == [None]
    assert (call["status"], call["error"], events[-1]["ok"]) == ("unknown", "It failed.", False)


async def test_what_a_tool_says_can_be_stored_and_shown() -> None:
    hostile = "Booked\ud800\x00\x1b\u202e 7.\n\tYes 👨‍👩‍👧"
    call, events = ask_for("book"), list[Any]()
    [result] = await make_calls([call], open_turn(gives(ToolResult(hostile))), None, events.append)
    assert result is not None
    assert result.text == "Booked? 7.\n\tYes 👨‍👩‍👧"
    await make_calls([call], open_turn(fails(ToolFailed(hostile * 10**5))), None, events.append)
    assert (call["status"], call["error"][:10]) == ("failed", "Booked? 7.")
    assert 500 < len(call["error"]) <= 600
    assert events[-1]["summary"] == call["error"]


async def test_what_a_tool_gives_beside_its_text_has_a_limit() -> None:
    call = ask_for("book")
    large = gives(ToolResult("Text.", data={"value": "x" * 2_000_001}))
    assert await make_calls([call], open_turn(large), None, lambda event: None) == [None]
    assert (call["status"], "more than the limit of 2,000,000" in call["error"]) == ("failed", True)

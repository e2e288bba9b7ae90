"""The tool that draws a chart of what a question to a tenant's databases gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.tools.data import (
    ASK_PROPERTIES,
    OF_LAST_RESULT,
    TIMEOUT_S,
    ask_for,
    describe_answer,
    describe_last,
    get_last,
    pick_source,
    show_answer,
    show_last,
)
from agents.tools.data_port import DataAsker
from agents.tools.tool import Tool, ToolCall, ToolFailed, ToolResult
from auth.principal import Principal
from auth.scopes import Scope
from datasources.answers.following import format_chart_note, format_followup
from datasources.charts.choosing import choose_chart
from datasources.charts.grammar import AGGREGATES, LONGEST_NAME, LONGEST_TITLE, MARKS, Chart, ChartRefused
from datasources.charts.spec import DrawnChart, make_spec
from datasources.charts.words import ChartWords, read_chart_words
from datasources.questions.followups import Followup
from datasources.questions.refusals import format_refusal
from datasources.questions.words import detect_question_language
from datasources.results import Result

DRAW_CHART = "draw_chart"
_COLUMNS = frozenset(("x", "y", "colour", "aggregate"))
_COLUMN = {"type": "string", "minLength": 1, "maxLength": LONGEST_NAME}
_PARAMETERS = {
    "type": "object",
    "properties": {
        **ASK_PROPERTIES,
        "mark": {"enum": list(MARKS), "description": "What the figures are drawn as; left out: what fits them."},
        "x": {**_COLUMN, "description": "A column of the result; left out, with y: those that fit."},
        "y": {**_COLUMN, "description": "The column with the figures."},
        "colour": {**_COLUMN, "description": "A column that tells kinds apart by their colours."},
        "aggregate": {"enum": list(AGGREGATES), "description": "What is drawn of several figures at one place."},
        "title": {"type": "string", "maxLength": LONGEST_TITLE, "description": "What stands above it."},
    },
    "required": ["question"],
    "additionalProperties": False,
}


def make_chart_tool(asker: DataAsker) -> Tool:
    """The tool `draw_chart`. The data source decides whom it answers."""

    async def run(call: ToolCall) -> ToolResult:
        arguments = call.arguments
        words = read_chart_words(arguments["question"])
        question = _find_question(call, words)
        chart_arguments = {**({"mark": words.mark} if words and words.mark else {}), **arguments}
        loaded = await _load(call, asker, question)
        lines = list(loaded.lines)
        try:
            drawn = _draw(loaded.result, chart_arguments, question)
        except ChartRefused as exc:
            if _COLUMNS.intersection(arguments):
                raise ToolFailed(str(exc)) from exc
            why = format_refusal(exc.reason, detect_question_language(question)) if exc.reason else str(exc)
            return ToolResult("\n".join([*lines, why]), **loaded.extra)
        lines.append(format_chart_note(detect_question_language(question)))
        return ToolResult("\n".join(lines), chart={"alt": drawn.alt, "spec": drawn.spec}, **loaded.extra)

    async def read_question(principal: Principal, question: str, previous: str) -> Mapping[str, Any] | None:
        arguments = read_chart_arguments(question, previous)
        return await pick_source(asker, principal, arguments) if arguments and arguments["question"] else None

    return Tool(
        DRAW_CHART,
        "Draws a chart of figures from a database of the institution, where a person wants one: bars, lines or points. "
        "It gives the figures, too: nothing else has to be called for them.",
        _PARAMETERS,
        run,
        scopes=frozenset({Scope.CHAT_WRITE}),
        timeout_s=TIMEOUT_S,
        max_characters=60_000,
        read_question=read_question,
    )


def read_chart_arguments(question: str, previous: str) -> dict[str, Any] | None:
    """The arguments for a chart, None where *question* has no words for one.

    Words for a chart alone draw what *previous*, the question before, asked for.
    """
    words = read_chart_words(question)
    if words is None:
        return None
    before = read_chart_words(previous)
    topic = words.question or (before.question if before else previous)
    return {"question": topic, **({"mark": words.mark} if words.mark else {})}


def _find_question(call: ToolCall, words: ChartWords | None) -> str:
    """What is drawn, in words: without those for a chart; where there are no others, what the last result answered."""
    arguments = call.arguments
    if words and words.question:
        return words.question
    is_of_last = words is not None and call.last is not None and arguments.get(OF_LAST_RESULT)
    return call.last.question if call.last and is_of_last else str(arguments["question"])


@dataclass(frozen=True, slots=True)
class _Drawn:
    """What is drawn, the lines about it, and the members of a `ToolResult` that tell of it."""

    result: Result
    lines: Sequence[str]
    extra: dict[str, Any]


async def _load(call: ToolCall, asker: DataAsker, question: str) -> _Drawn:
    """The last result, where *call* is of that, else what a query gives."""
    if call.arguments.get(OF_LAST_RESULT):
        last = await get_last(call, asker, "draw")
        if call.chat is not None:
            return _Drawn(last.result, describe_last(last, call.head_rows), show_last(last))
        all_rows, language = Followup(tuple(range(len(last.table.rows)))), detect_question_language(question)
        return _Drawn(last.result, format_followup(all_rows, last.table, language), show_last(last))
    answer = await ask_for(call, asker, question)
    return _Drawn(answer.result, describe_answer(answer), show_answer(answer, question))


def _draw(result: Result, arguments: Mapping[str, Any], question: str) -> DrawnChart:
    """The chart that *arguments* describes, or where it names no columns, the one that fits.

    Raises:
        ChartRefused: there is none.
    """
    title = arguments.get("title") or question[:LONGEST_TITLE]
    if _COLUMNS.intersection(arguments):
        if not {"x", "y"} <= arguments.keys():
            raise ChartRefused("Name both x and y, or no column: then those that fit are chosen.")
        named = {name: arguments[name] for name in ("mark", *_COLUMNS) if name in arguments}
        chosen = Chart(**{"mark": "bar", "title": title, **named})
    else:
        chosen = choose_chart(result, mark=arguments.get("mark"), title=title)
    return make_spec(chosen, result, detect_question_language(question))

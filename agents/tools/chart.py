"""The tool that draws a chart of what a question to a tenant's databases gives."""

from collections.abc import Mapping
from typing import Any

from agents.tools.data import ASK_PROPERTIES, TIMEOUT_S, AskData, UnderstandsData, ask_for, describe_answer, show_data
from agents.tools.tool import Tool, ToolCall, ToolFailed, ToolResult
from auth.principal import Principal
from auth.scopes import Scope
from datasources.charts.choosing import choose_chart
from datasources.charts.grammar import AGGREGATES, LONGEST_NAME, LONGEST_TITLE, MARKS, Chart, ChartRefused
from datasources.charts.spec import DrawnChart, make_spec
from datasources.charts.words import read_chart_words
from datasources.results import Result
from utils.language import detect_language

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


def make_chart_tool(ask: AskData, understands: UnderstandsData) -> Tool:
    """It. Whom a data source answers is for the data source to say."""

    async def run(call: ToolCall) -> ToolResult:
        said = call.arguments
        words = read_chart_words(said["question"])
        question = words.question if words and words.question else said["question"]
        wanted = {**({"mark": words.mark} if words and words.mark else {}), **said}
        answer = await ask_for(call, ask, question)
        lines, data = list(describe_answer(answer)), show_data(answer)
        try:
            drawn = _draw(answer.result, wanted, question)
        except ChartRefused as exc:
            if _COLUMNS.intersection(said):
                raise ToolFailed(str(exc)) from exc
            return ToolResult("\n".join([*lines, str(exc)]), table=answer.table, data=data, attempts=answer.attempts)
        lines.append("A chart of this is shown with the answer.")
        chart = {"alt": drawn.alt, "spec": drawn.spec}
        return ToolResult("\n".join(lines), table=answer.table, chart=chart, data=data, attempts=answer.attempts)

    async def read_question(principal: Principal, question: str, previous: str) -> Mapping[str, Any] | None:
        words = read_chart_words(question)
        if words is None:
            return None
        before = read_chart_words(previous)
        asked = words.question or (before.question if before else previous)
        if not asked or not await understands(principal, asked):
            return None
        return {"question": asked, **({"mark": words.mark} if words.mark else {})}

    return Tool(
        DRAW_CHART,
        "Draws a chart of figures from a database of the institution, where a person wants one: bars, lines or points.",
        _PARAMETERS,
        run,
        scopes=frozenset({Scope.CHAT_WRITE}),
        timeout_s=TIMEOUT_S,
        most_characters=60_000,
        read_question=read_question,
    )


def _draw(result: Result, said: Mapping[str, Any], question: str) -> DrawnChart:
    """The chart that *said* describes, or where it names no columns, the one that fits.

    Raises:
        ChartRefused: there is none.
    """
    title = said.get("title") or question[:LONGEST_TITLE]
    if _COLUMNS.intersection(said):
        if not {"x", "y"} <= said.keys():
            raise ChartRefused("Name both x and y, or no column: then those that fit are chosen.")
        named = {name: said[name] for name in ("mark", *_COLUMNS) if name in said}
        chosen = Chart(**{"mark": "bar", "title": title, **named})
    else:
        chosen = choose_chart(result, mark=said.get("mark"), title=title)
    return make_spec(chosen, result, detect_language(question))

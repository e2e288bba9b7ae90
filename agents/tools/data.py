"""The tool that asks a tenant's databases, by rules alone."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agents.tools.tool import Tool, ToolCall, ToolFailed, ToolResult
from auth.principal import Principal
from auth.scopes import Scope
from datasources.errors import QueryFailed, QueryRefused, SourceUnavailable
from datasources.questions.reading import QuestionRefused
from datasources.results import Result
from utils.errors import ProblemError

QUERY_DATA = "query_data"
_MOST_ROWS_SHOWN = 30
_PARAMETERS = {
    "type": "object",
    "properties": {
        "question": {
            "type": "string",
            "minLength": 1,
            "maxLength": 500,
            "description": "One question about figures, in words, that can be understood without the conversation.",
        },
        "data_source": {
            "type": "string",
            "minLength": 1,
            "maxLength": 200,
            "description": "The name of the data source; may be left out where there is one alone.",
        },
    },
    "required": ["question"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class DataAnswer:
    """What a question to a database gave: the query it became, in SQL and in words, and its result."""

    source_name: str
    sql: str
    understood: str
    result: Result


AskData = Callable[[Principal, str, str | None], Awaitable[DataAnswer]]
"""Asks a question of the principal's data source of this name; None: the only one."""


def make_data_tool(ask: AskData) -> Tool:
    """It. Who asks needs to be allowed to look at data sources."""

    async def run(call: ToolCall) -> ToolResult:
        try:
            answer = await ask(call.principal, call.arguments["question"], call.arguments.get("data_source"))
        except ProblemError as exc:
            raise ToolFailed(exc.detail) from exc
        except (QuestionRefused, QueryRefused, QueryFailed, SourceUnavailable) as exc:
            raise ToolFailed(str(exc)) from exc
        return ToolResult(_describe(answer))

    return Tool(
        QUERY_DATA,
        "Asks a database of the institution: how many, how much, which is the largest, lists of rows.",
        _PARAMETERS,
        run,
        scopes=frozenset({Scope.DATA_SOURCES_READ}),
    )


def _describe(answer: DataAnswer) -> str:
    """The figures in sentences: of one row a line, in which each is named."""
    result = answer.result
    lines = [f"Understood by rules, without a language model: {answer.understood} (data source {answer.source_name})."]
    for row in result.rows[:_MOST_ROWS_SHOWN]:
        cells = zip(result.columns, row, strict=True)
        lines.append("; ".join(f"{name}: {'nothing' if cell is None else cell}" for name, cell in cells) + ".")
    if not result.rows:
        lines.append("There are no such rows.")
    if len(result.rows) > _MOST_ROWS_SHOWN or result.truncated:
        lines.append(f"There are more rows than the {_MOST_ROWS_SHOWN} shown.")
    return "\n".join([*lines, f"Query: {answer.sql}"])

"""The tool that asks a tenant's databases: by a query of the bot's language model, or by rules where it has none."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from langchain_core.language_models import BaseChatModel

from agents.tools.sql_writer import NoQuery
from agents.tools.tool import Tool, ToolCall, ToolFailed, ToolResult
from auth.principal import Principal
from auth.scopes import Scope
from datasources.errors import QueryFailed, QueryRefused, SourceUnavailable
from datasources.questions.reading import QuestionRefused
from datasources.results import Result
from utils.errors import ProblemError
from utils.query_tables import Cell, QueryColumn, QueryTable

QUERY_DATA = "query_data"
TIMEOUT_S = 60.0  # a query and its repairs, each of which a model is asked for
LONGEST_QUESTION = 500
_MOST_DATA_BYTES = 500_000  # of the rows that an answer carries
ASK_PROPERTIES = {
    "question": {
        "type": "string",
        "minLength": 1,
        "maxLength": LONGEST_QUESTION,
        "description": "One question about figures, in words, that can be understood without the conversation.",
    },
    "data_source": {
        "type": "string",
        "minLength": 1,
        "maxLength": 200,
        "description": "The name of the data source; may be left out where there is one alone.",
    },
}
_PARAMETERS = {
    "type": "object",
    "properties": ASK_PROPERTIES,
    "required": ["question"],
    "additionalProperties": False,
}
_ASKING_FAILS = (NoQuery, QuestionRefused, QueryRefused, QueryFailed, SourceUnavailable)


@dataclass(frozen=True, slots=True)
class DataAnswer:
    """What a question to a database gave: `table` is what of `result` an answer may rest on. `understood`: what it asks
    for in words; "" where a language model wrote the query."""

    table: QueryTable
    result: Result
    understood: str = ""
    source_id: str = ""
    attempts: int = 1


AskData = Callable[[Principal, str, str | None, BaseChatModel | None], Awaitable[DataAnswer]]
"""Asks a question of the principal's data source of this name; None: the only one. The model writes the query; without
one, rules do."""
UnderstandsData = Callable[[Principal, str], Awaitable[bool]]
"""Whether rules understand all of a question to the principal's only data source."""


def make_data_tool(ask: AskData, understands: UnderstandsData) -> Tool:
    """It. Whom a data source answers is for the data source to say."""

    async def run(call: ToolCall) -> ToolResult:
        answer = await ask_for(call, ask, call.arguments["question"])
        text = "\n".join(describe_answer(answer))
        return ToolResult(text, table=answer.table, data=show_data(answer), attempts=answer.attempts)

    async def read_question(principal: Principal, question: str, previous: str) -> Mapping[str, Any] | None:
        is_short = len(question) <= LONGEST_QUESTION
        return {"question": question} if is_short and await understands(principal, question) else None

    return Tool(
        QUERY_DATA,
        "Asks a database of the institution: how many, how much, which is the largest, lists of rows.",
        _PARAMETERS,
        run,
        scopes=frozenset({Scope.CHAT_WRITE}),
        timeout_s=TIMEOUT_S,
        most_characters=60_000,
        read_question=read_question,
    )


async def ask_for(call: ToolCall, ask: AskData, question: str) -> DataAnswer:
    """What the data source that *call* names says to *question*.

    Raises:
        ToolFailed: there is no answer; it says why.
    """
    try:
        return await ask(call.principal, question, call.arguments.get("data_source"), call.chat)
    except ProblemError as exc:
        raise ToolFailed(exc.detail) from exc
    except _ASKING_FAILS as exc:
        raise ToolFailed(str(exc)) from exc


def show_data(answer: DataAnswer) -> dict[str, Any]:
    """The result as the API shows it, as many rows as there is room for."""
    rows, left_bytes = [], _MOST_DATA_BYTES
    for row in answer.result.rows:
        left_bytes -= sum(len(each) if isinstance(each, str) else 8 for each in row)
        if left_bytes < 0:
            break
        rows.append(list(row))
    return {
        "data_source_id": answer.source_id,
        "sql": answer.table.sql,
        "columns": list(answer.result.columns),
        "rows": rows,
        "truncated": answer.result.truncated or len(rows) < len(answer.result.rows),
        "understood": answer.understood or None,
    }


def describe_answer(answer: DataAnswer) -> Iterator[str]:
    """The figures in sentences: of one row a line, in which each is named."""
    table = answer.table
    if not answer.understood:
        yield f"The result of a query to the data source {table.source_name}."
    for row in table.rows:
        cells = zip(table.columns, row, strict=True)
        yield "; ".join(f"{column.name}: {_write_cell(cell)}" for column, cell in cells) + "."
    if not table.row_count:
        yield "There are no such rows."
    if not table.is_whole:
        more = "more than " if table.truncated else ""
        yield f"These are the first {len(table.rows)} of {more}{table.row_count} rows."
    if table.row_count > 1:
        yield from _describe_totals(table)
    if answer.understood:
        yield f"Understood by rules, without a language model: {answer.understood} (data source {table.source_name})."
    yield f"Query: {' '.join(table.sql.split())}"


def _describe_totals(table: QueryTable) -> Iterator[str]:
    for column in table.columns:
        told = _list_totals(column)
        if told:
            yield f"Over all {table.row_count} rows, {column.name}: {', '.join(told)}."


def _list_totals(column: QueryColumn) -> list[str]:
    known = (
        ("sum", column.total), ("mean", column.mean), ("smallest", column.smallest), ("largest", column.largest),
    )  # fmt: skip
    return [f"{name} {value:.10g}" for name, value in known if value is not None]


def _write_cell(cell: Cell) -> str:
    if isinstance(cell, float):
        return f"{cell:.12g}"
    return "nothing" if cell is None else str(cell)

"""The tool that asks a tenant's databases: by a query of the bot's language model, or by rules where it has none."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from agents.tools.data_port import DataAnswer, DataAsker, NoReadableTables
from agents.tools.last_result import LastResult
from agents.tools.sql_writer import NoQuery
from agents.tools.table_text import describe_head, describe_table
from agents.tools.tool import AsksBack, Tool, ToolCall, ToolFailed, ToolResult
from auth.principal import Principal
from auth.scopes import Scope
from datasources.answers.cells import MAX_ROWS
from datasources.answers.following import format_followup
from datasources.errors import QueryFailed, QueryRefused, SourceUnavailable
from datasources.questions.continuing import continues_result
from datasources.questions.followups import read_followup
from datasources.questions.refusals import NotUnderstood, add_examples, format_refusal
from datasources.questions.words import detect_question_language
from datasources.results import QueryLimits, split
from utils.errors import Conflict, NotFound, NotReady, ProblemError, SourceFailed

logger = logging.getLogger(__name__)

QUERY_DATA = "query_data"
TIMEOUT_S = 60.0  # a query and its repairs, each of which a model is asked for
LONGEST_QUESTION, LONGEST_FOLLOWUP = 500, 300  # characters
_SHOWN = QueryLimits(size_bytes=500_000)  # of the rows that an answer carries
OF_LAST_RESULT = "of_last_result"
ASK_PROPERTIES: dict[str, dict[str, Any]] = {
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
    OF_LAST_RESULT: {
        "type": "boolean",
        "description": "Whether this is about the result of the question before: it is used as it is, without a query.",
    },
}
_PARAMETERS = {
    "type": "object",
    "properties": ASK_PROPERTIES,
    "required": ["question"],
    "additionalProperties": False,
}
_NOT_ALL = f"What these rows do not tell takes a query: ask the whole question, without {OF_LAST_RESULT}."


def make_data_tool(asker: DataAsker) -> Tool:
    """The tool `query_data`. The data source decides whom it answers."""

    async def run(call: ToolCall) -> ToolResult:
        question = call.arguments["question"]
        if not call.arguments.get(OF_LAST_RESULT):
            answer = await ask_for(call, asker, question)
            return ToolResult("\n".join(describe_answer(answer)), **show_answer(answer, question))
        last = await get_last(call, asker)
        if lines := _answer_from_last(last, call):
            return ToolResult("\n".join(lines), **show_last(last))
        with _translate_failures(detect_question_language(question, last.question)):
            answer = await asker.ask_followup(call.principal, question, last)
        return ToolResult("\n".join(describe_answer(answer)), **show_answer(answer, question))

    async def read_question(principal: Principal, question: str, previous: str) -> Mapping[str, Any] | None:
        return await pick_source(asker, principal, {"question": question})

    async def read_followup(principal: Principal, question: str, last: LastResult) -> Mapping[str, Any] | None:
        is_short = len(question) <= LONGEST_FOLLOWUP
        if is_short and (
            continues_result(question, last.table, last.question)
            or await asker.match_followup(principal, question, last)
        ):
            return {"question": question, OF_LAST_RESULT: True}
        return None

    async def explain_refusal(principal: Principal, question: str) -> str:
        return await asker.explain_refusal(principal, question) if len(question) <= LONGEST_QUESTION else ""

    return Tool(
        QUERY_DATA,
        "Asks a database of the institution: how many, how much, which is the largest, lists of rows.",
        _PARAMETERS,
        run,
        scopes=frozenset({Scope.CHAT_WRITE}),
        timeout_s=TIMEOUT_S,
        max_characters=60_000,
        read_question=read_question,
        read_followup=read_followup,
        explain_refusal=explain_refusal,
    )


async def pick_source(asker: DataAsker, principal: Principal, arguments: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """*arguments* with the data source whose words explain all of their question; None where none's do.

    Raises:
        AsksBack: those of several do.
    """
    question = arguments["question"]
    result = await asker.match_sources(principal, question) if len(question) <= LONGEST_QUESTION else ()
    if len(result) > 1:
        raise AsksBack("data_source", [each["data_source"] for each in result], arguments)
    return {**arguments, **result[0]} if result else None


async def get_last(call: ToolCall, asker: DataAsker, reason: str = "none") -> LastResult:
    """The last result of the conversation, which may still be read; *reason* is why not where there is none.

    Raises:
        ToolFailed: there is none, or its data source is not the one that is named, or was changed, closed or deleted.
    """
    question, named, last = call.arguments["question"], call.arguments.get("data_source"), call.last
    language = detect_question_language(question, last.question if last else "")
    if last is None:
        examples = await asker.list_examples(call.principal, named, language)
        raise ToolFailed(add_examples(format_refusal(reason, language), examples, language), says_all=True)
    if named not in (None, last.source_id, last.table.source_name):
        raise ToolFailed(format_refusal("other", language), says_all=True)
    with _translate_failures(language):
        try:
            stamp = await asker.read_stamp(call.principal, last.source_id)
        except (NotFound, Conflict):  # it is deleted, or nothing of it is open any more
            stamp = ""
    if stamp != last.stamp:
        raise ToolFailed(format_refusal("changed", language), says_all=True)
    return last


def _answer_from_last(last: LastResult, call: ToolCall) -> Sequence[str]:
    """What the last result says to the question of *call*: worked out by rules from all of its rows, else its first
    rows for a language model; nothing where there is none."""
    question = call.arguments["question"]
    followup = read_followup(question, last.table, last.question)
    if followup is not None:
        language = detect_question_language(question, last.question)
        return format_followup(followup, last.table, language, max_rows=call.head_rows if call.chat else MAX_ROWS)
    if call.chat is not None:
        return describe_last(last, call.head_rows)
    return ()


def describe_last(last: LastResult, head_rows: int) -> list[str]:
    """The first rows of the last result for a language model."""
    lines = describe_head(last.table, head_rows)
    return lines if last.table.row_count <= head_rows else [*lines, _NOT_ALL]


async def ask_for(call: ToolCall, asker: DataAsker, question: str) -> DataAnswer:
    """What the data source that *call* names says to *question*.

    Raises:
        ToolFailed: there is no answer; it says why.
    """
    with _translate_failures(detect_question_language(question)):
        return await asker.ask(call.principal, question, call.arguments.get("data_source"), call.chat)


@contextmanager
def _translate_failures(language: str) -> Iterator[None]:
    """What asking a data source raises becomes a `ToolFailed`. Why one cannot be read, or what a database says of a
    query, is for the operator alone: it names hosts and files, and is English."""
    try:
        yield
    except NotUnderstood as exc:
        raise ToolFailed(str(exc), says_all=True) from exc
    except (SourceUnavailable, SourceFailed, NotReady) as exc:
        logger.warning("A data source cannot be read: %s", exc)
        raise ToolFailed(format_refusal("unavailable", language), says_all=True) from exc
    except QueryFailed as exc:
        # Its kind alone: what a database says may repeat what stands in it.
        logger.warning("A query to a data source failed: %s", type(exc.__cause__ or exc).__name__)
        raise ToolFailed(format_refusal("failed", language), says_all=True) from exc
    except NoReadableTables as exc:
        raise ToolFailed(format_refusal("closed", language, exc.source_name), says_all=True) from exc
    except ProblemError as exc:
        raise ToolFailed(exc.detail) from exc
    except (NoQuery, QueryRefused) as exc:
        raise ToolFailed(str(exc)) from exc


def show_data(answer: DataAnswer) -> dict[str, Any]:
    """The result as the API shows it, as many rows as there is room for."""
    part = split(answer.result, _SHOWN)
    return {
        "data_source_id": answer.source_id,
        "sql": answer.table.sql,
        "columns": list(part.columns),
        "rows": [list(row) for row in part.rows],
        "truncated": part.truncated,
        "understood": answer.understood or None,
    }


def show_answer(answer: DataAnswer, question: str) -> dict[str, Any]:
    """What a `ToolResult` has of it beside the text."""
    last, data = answer.keep(question), show_data(answer)
    rest = (*answer.result.rows[len(data["rows"]) :], *answer.result.more)
    return {"table": answer.table, "data": data, "rest": rest, "last": last, "attempts": answer.attempts}


def show_last(last: LastResult) -> dict[str, Any]:
    """What a `ToolResult` has of the last result, for which no query was tried."""
    data = show_data(DataAnswer(last.table, last.result, last.understood, last.source_id))
    return {"table": last.table, "data": data, "last": last, "attempts": 0}


def describe_answer(answer: DataAnswer) -> Sequence[str]:
    """What answers the question, where rules did; else the result for a language model."""
    return answer.lines or list(describe_table(answer.table))

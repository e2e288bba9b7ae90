"""Questions that go on about the last result of a query, as rules read them where there is no language model."""

from collections.abc import Container, Sequence
from dataclasses import replace

from agents.tools.chart import DRAW_CHART
from agents.tools.data import LONGEST_FOLLOWUP, OF_LAST_RESULT, QUERY_DATA
from agents.tools.last_result import LastResult
from agents.tools.planner import AskedCall
from agents.tools.tool import AsksBack, Tool
from auth.principal import Principal
from datasources.charts.words import read_chart_words
from datasources.questions.continuing import begins_anew
from datasources.questions.followup_parts import refers_to_result
from datasources.questions.followups import names_things, read_followup
from datasources.questions.references import may_point


def read_last_question(question: str, last: LastResult, tools: Container[str]) -> AskedCall | None:
    """The call that answers *question* from *last*, by one of *tools*; None where it is about something else."""
    if len(question) > LONGEST_FOLLOWUP:
        return None
    words = read_chart_words(question)
    if words is not None:
        if words.question or DRAW_CHART not in tools:
            return None
        mark = {"mark": words.mark} if words.mark else {}
        return AskedCall(DRAW_CHART, {"question": last.question, OF_LAST_RESULT: True, **mark})
    if QUERY_DATA not in tools or read_followup(question, last.table, last.question) is None:
        return None
    return AskedCall(QUERY_DATA, {"question": question, OF_LAST_RESULT: True})


async def is_self_contained(question: str, last: LastResult, tools: Sequence[Tool], principal: Principal) -> bool:
    """Whether *question* is whole without *last*: it names what it is about, points at nothing, and is understood."""
    is_whole = begins_anew(question) and not may_point(question)
    if not is_whole or not names_things(question, last.table, last.question):
        return False
    read = next((each.read_question for each in tools if each.name == QUERY_DATA), None)
    try:
        return read is not None and await read(principal, question, "") is not None
    except AsksBack:
        return True


def read_bare_chart(question: str, tools: Container[str]) -> AskedCall | None:
    """The call for a chart of nothing but the last result, also where there is none; None for any other question."""
    words = read_chart_words(question) if len(question) <= LONGEST_FOLLOWUP and DRAW_CHART in tools else None
    return AskedCall(DRAW_CHART, {"question": question, OF_LAST_RESULT: True}) if words and not words.question else None


async def continue_last(
    question: str, last: LastResult, tools: Sequence[Tool], principal: Principal
) -> AskedCall | None:
    """The call of the first of *tools* for which *question* goes on about *last*; None where it does for none."""
    for tool in tools:
        arguments = await tool.read_followup(principal, question, last) if tool.read_followup else None
        if arguments is not None:
            return AskedCall(tool.name, arguments)
    return None


def restrict_to_last(call: AskedCall, question: str, last: LastResult) -> AskedCall:
    """*call*, of *last* alone where *question* speaks of its rows: all others are not meant."""
    if call.name not in (QUERY_DATA, DRAW_CHART) or not refers_to_result(question, last.question):
        return call
    return replace(call, arguments={**call.arguments, OF_LAST_RESULT: True})

"""Questions that go on about the last result of a query, as rules read them where there is no language model."""

from collections.abc import Container
from dataclasses import replace

from agents.tools.chart import DRAW_CHART
from agents.tools.data import OF_LAST_RESULT, QUERY_DATA
from agents.tools.kept import KeptResult
from agents.tools.planner import AskedCall
from datasources.charts.words import read_chart_words
from datasources.questions.followups import points_back, read_followup

_LONGEST = 300  # characters


def read_kept_question(question: str, kept: KeptResult, tools: Container[str]) -> AskedCall | None:
    """The call that answers *question* from *kept*, by one of *tools*; None where it is about something else."""
    if len(question) > _LONGEST:
        return None
    words = read_chart_words(question)
    if words is not None:
        if words.question or DRAW_CHART not in tools:
            return None
        mark = {"mark": words.mark} if words.mark else {}
        return AskedCall(DRAW_CHART, {"question": kept.question, OF_LAST_RESULT: True, **mark})
    if QUERY_DATA not in tools or read_followup(question, kept.table, kept.question) is None:
        return None
    return AskedCall(QUERY_DATA, {"question": question, OF_LAST_RESULT: True})


def restrict_to_kept(call: AskedCall, question: str) -> AskedCall:
    """*call*, of the last result alone where *question* speaks of its rows: all others are not meant."""
    if call.name not in (QUERY_DATA, DRAW_CHART) or not points_back(question):
        return call
    return replace(call, arguments={**call.arguments, OF_LAST_RESULT: True})

"""The call that puts a question to a data source, where the request has named the source and nobody else decides."""

from collections.abc import Collection

from agents.tools.chart import DRAW_CHART, read_chart_arguments
from agents.tools.data import LONGEST_QUESTION, QUERY_DATA
from agents.tools.last_questions import read_bare_chart
from agents.tools.planner import AskedCall


def make_source_call(question: str, previous: str, offered: Collection[str]) -> AskedCall | None:
    """A chart where *question* has the words for one, else the figures; None where no tool for it is *offered*.

    Words for a chart alone draw what *previous*, the question before, asked for.
    """
    if bare := read_bare_chart(question, offered) if not previous else None:
        return bare
    drawn = read_chart_arguments(question, previous)
    if drawn is not None and DRAW_CHART in offered:
        return AskedCall(DRAW_CHART, {**drawn, "question": (drawn["question"] or question)[:LONGEST_QUESTION]})
    return AskedCall(QUERY_DATA, {"question": question[:LONGEST_QUESTION]}) if QUERY_DATA in offered else None

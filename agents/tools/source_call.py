"""The call that puts a question to a data source, where the request has named the source and nobody else decides."""

from collections.abc import Collection
from typing import Any

from agents.tools.chart import DRAW_CHART
from agents.tools.data import LONGEST_QUESTION, QUERY_DATA
from agents.tools.planner import AskedCall
from datasources.charts.words import read_chart_words


def make_source_call(question: str, previous: str, offered: Collection[str]) -> AskedCall | None:
    """A chart where *question* has the words for one, else the figures; None where no tool for it is *offered*.

    Words for a chart alone draw what *previous*, the question before, asked for.
    """
    words = read_chart_words(question)
    if words is not None and DRAW_CHART in offered:
        before = read_chart_words(previous)
        asked = words.question or (before.question if before else previous) or question
        mark: dict[str, Any] = {"mark": words.mark} if words.mark else {}
        return AskedCall(DRAW_CHART, {"question": asked[:LONGEST_QUESTION], **mark})
    return AskedCall(QUERY_DATA, {"question": question[:LONGEST_QUESTION]}) if QUERY_DATA in offered else None

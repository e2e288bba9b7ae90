"""Calls of one turn that would put the same question to a data source twice: it is asked once."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from agents.tools.chart import DRAW_CHART
from agents.tools.data import OF_LAST_RESULT, QUERY_DATA
from agents.tools.last_result import LastResult
from agents.tools.planner import AskedCall
from datasources.charts.words import read_chart_words
from datasources.questions.words import split_words

_Key = tuple[str, object, bool]


def reuse_result(call: AskedCall, last: LastResult | None, *, is_of_turn: bool) -> AskedCall:
    """*call*, of the last result where it draws just that ("as a bar chart"), or repeats its question in the same turn.

    *is_of_turn*: a query of this turn gave *last*; what was asked in another turn may have changed since.
    """
    key = _read_key(call)
    if last is None or key is None:
        return call
    question, source, _ = key
    is_same = question == _make_plain(last.question) and source in (None, last.source_id, last.table.source_name)
    if question and not (is_of_turn and is_same and last.table.is_whole):
        return call
    return replace(call, arguments={**call.arguments, OF_LAST_RESULT: True})


def remove_repeated(calls: Sequence[AskedCall], is_sound: Callable[[AskedCall], bool]) -> list[AskedCall]:
    """*calls* without questions that one beside them draws a chart of, if that is sound: it gives the figures, too."""
    drawn = {_read_key(call) for call in calls if call.name == DRAW_CHART and is_sound(call)} - {None}
    return [call for call in calls if call.name != QUERY_DATA or _read_key(call) not in drawn]


def _read_key(call: AskedCall) -> _Key | None:
    """What is asked, of which data source, and whether of the last result; None where it asks none."""
    arguments = call.arguments if isinstance(call.arguments, dict) else {}
    question = arguments.get("question")
    if call.name not in (DRAW_CHART, QUERY_DATA) or not isinstance(question, str) or not question.strip():
        return None
    words = read_chart_words(question) if call.name == DRAW_CHART else None
    source = arguments.get("data_source")
    return (
        "" if words and not words.question else _make_plain(words.question if words else question),
        source if isinstance(source, str) else None,
        arguments.get(OF_LAST_RESULT) is True,
    )


def _make_plain(question: str) -> str:
    return " ".join(split_words(question)) or question.strip()

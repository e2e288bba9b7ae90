"""The words of a question that ask for a chart, in English, Spanish and Indonesian, and the question without them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from datasources.charts.grammar import Mark
from datasources.questions.words import STOP, split_words
from utils.data_files import load_json

TABLES: dict[str, Any] = load_json("datasources.charts", "words.json")
# A share of a whole is read off bars: angles are hard to compare.
_MARKS: Mapping[Mark, re.Pattern[str]] = {
    mark: re.compile(rf"\b(?:{words})\b", re.IGNORECASE) for mark, words in TABLES["marks"].items()
}
_KIND = "|".join(TABLES["marks"].values())
_CHART = f"(?:{TABLES['chart']})"
_ASKING = re.compile(
    rf"^\W*+(?:{TABLES['please']})?(?:{TABLES['asking']})(?:{TABLES['it']})?\b",
    re.IGNORECASE,
)
_PHRASE = re.compile(
    rf"\b(?=[a-zá])(?:(?:{TABLES['before']}) )?+(?:(?:{TABLES['article']}) )?+"
    rf"(?:(?:{_KIND}) )?+{_CHART}\b(?: (?:de )?(?:{_KIND})\b)?(?: (?:{TABLES['after']})\b)?",
    re.IGNORECASE,
)
_BEFORE_MARK = re.compile(r" (?=[?.!,])")
_HAS_CHART = re.compile(rf"\b{_CHART}\b", re.IGNORECASE)
_POINTING = frozenset(TABLES["pointing"].split())


@dataclass(frozen=True, slots=True)
class ChartWords:
    """What a question asks to have drawn: `question` without the words for it, "" where it points at the one before."""

    question: str
    mark: Mark | None


def read_chart_words(question: str) -> ChartWords | None:
    """The chart that *question* asks for; None where it asks for none."""
    question = " ".join(question.split())
    if not _HAS_CHART.search(question):
        return None
    phrase = _PHRASE.search(question)
    named = phrase[0] if phrase else ""
    rest = _ASKING.sub(" ", _PHRASE.sub(" ", question))
    rest = _BEFORE_MARK.sub("", " ".join(rest.split())).rstrip(",;")
    return ChartWords("" if _points_back(rest) else rest, _find_mark(named))


def _points_back(rest: str) -> bool:
    """Whether nothing is left but words that say nothing."""
    return all(word in STOP or word in _POINTING for word in split_words(rest))


def _find_mark(named: str) -> Mark | None:
    return next((mark for mark, words in _MARKS.items() if words.search(named)), None)

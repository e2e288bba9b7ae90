"""The words of a question that ask for a chart, in English, Spanish and Indonesian, and the question without them."""

import re
from dataclasses import dataclass

from datasources.charts.grammar import Mark
from datasources.questions.words import STOP, split_words

_POINT = "scatter|scatterplot|points?|puntos?|dispersi[oó]n|titik|sebar"
_AREA = "areas?|áreas?"
_LINE = "lines?|líneas?|lineas?|garis|trend|tendencia|tren"
# A share of a whole is read off bars: angles are hard to compare.
_BAR = "bars?|columns?|barras?|columnas?|batang|pie|circular|pastel|tarta|lingkaran"
_KIND = f"{_POINT}|{_AREA}|{_LINE}|{_BAR}"
_MARKS: tuple[tuple[Mark, re.Pattern[str]], ...] = (
    ("point", re.compile(rf"\b(?:{_POINT})\b", re.IGNORECASE)),
    ("area", re.compile(rf"\b(?:{_AREA})\b", re.IGNORECASE)),
    ("line", re.compile(rf"\b(?:{_LINE})\b", re.IGNORECASE)),
    ("bar", re.compile(rf"\b(?:{_BAR})\b", re.IGNORECASE)),
)
_CHART = r"(?:charts?|graphs?|plots?|diagrams?|gr[aá]fic[oa]s?|diagramas?|grafik|bagan)"
_ASKING = re.compile(
    r"^\W*(?:please |por favor,? |tolong )?(?:draw|plot|show|make|create|give|dibuja|muestra|mu[eé]strame|haz|crea|"
    r"gambar(?:kan)?|buat(?:kan)?|tampilkan)(?: me| it| that| this|me)?\b",
    re.IGNORECASE,
)
_PHRASE = re.compile(
    r"\b(?=[a-zá])(?:(?:as|in|with|como|en|con|sebagai|dalam|dengan) )?+(?:(?:a|an|the|un|una|el|la|sebuah|bentuk) )?+"
    rf"(?:(?:{_KIND}) )?+{_CHART}\b(?: (?:de )?(?:{_KIND})\b)?(?: (?:of|for|showing|de|del|con|untuk|dari)\b)?",
    re.IGNORECASE,
)
_BEFORE_MARK = re.compile(r" (?=[?.!,])")
_HAS_CHART = re.compile(rf"\b{_CHART}\b", re.IGNORECASE)
_POINTING = frozenset(("same", "mismo", "misma", "eso", "esto", "tersebut", "itu", "now", "ahora", "sekarang", "draw"))


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
    return next((mark for mark, words in _MARKS if words.search(named)), None)

"""Whether a message goes on about a result that was just given, also where it is not understood."""

from typing import Any

from datasources.questions.followup_parts import POINTING, RELATIVE, SAYS_NOTHING, TABLES, read_parts, refers_to_result
from datasources.questions.references import POSSESSIVES
from datasources.questions.times import read_span
from datasources.questions.words import (
    AGGREGATES,
    COUNTS,
    MOST,
    STOP,
    SUPERLATIVES,
    detect_question_language,
    split_question,
)
from utils.query_tables import QueryTable

_TABLES: dict[str, Any] = TABLES["continuing"]
_FIRST = [tuple(each.split()) for each in _TABLES["first"]]
_OF_ROWS, _ASKING = frozenset(_TABLES["of_rows"].split()), frozenset(_TABLES["asking"].split())
_COUNTING = frozenset(word for words in COUNTS for word in words[:1]) - {"how"} | {"many"}
_COMMANDS = frozenset(_TABLES["commands"].split())
_PARTS = [f" {each} " for each in _TABLES["parts"]]
_MAX_WORDS, _FEW_WORDS, _MAX_UNKNOWN = 12, 6, 2


def continues_result(question: str, table: QueryTable, previous: str) -> bool:
    """Whether *question* reads as one about the figures of *table*, which answered *previous*.

    So it does where it speaks of some of them ("which of these are purple?"), or goes on without a verb of its own
    ("and the ones above 5?", "y en marzo?"), or says nothing but what is done with figures ("the fourth one").
    """
    words = split_question(question, detect_question_language(question, previous))
    if not 0 < len(words) <= _MAX_WORDS:
        return False
    parts = read_parts(words, table, previous)
    unknown = [each for each in parts.unknown if each not in SUPERLATIVES]
    asks = parts.asks or parts.number is not None or len(unknown) < len(parts.unknown)
    periods = sum(span[1] for index in range(len(words)) if (span := read_span(words, index)))
    if refers_to_result(question) or not _COMMANDS.isdisjoint(words):
        is_of_them = any(each in f" {' '.join(words)} " for each in _PARTS)
        return (asks or is_of_them) and len(unknown) <= _MAX_UNKNOWN
    if begun := _count_first(words):
        is_fragment = _ASKING.isdisjoint(words[begun:])
        is_of_rows = begun < len(words) and words[begun] in _OF_ROWS
        asks = asks or not RELATIVE.isdisjoint(words)  # "and the next?"
        is_short = periods > 0 or len(unknown) < _MAX_UNKNOWN
        return is_fragment and is_short and (asks or bool(parts.columns) or is_of_rows or periods > 0)
    return asks and not unknown and not parts.names_things and len(words) <= _FEW_WORDS


def may_continue(question: str) -> bool:
    """Whether it need not be a question of its own, such as "what is maintenance?": it points at something, goes on
    from what was said, counts or compares, or has no word that asks."""
    words = split_question(question, detect_question_language(question))
    references = POINTING | POSSESSIVES | AGGREGATES.keys() | SUPERLATIVES.keys() | MOST.keys() | _COUNTING
    return bool(_count_first(words)) or not references.isdisjoint(words) or _ASKING.isdisjoint(words)


def begins_anew(question: str) -> bool:
    """Whether it is a sentence that names what it is about: "and the pumps?" and "which are they?" are none."""
    words = split_question(question, detect_question_language(question))
    return not _count_first(words) and not all(each in STOP | POINTING | SAYS_NOTHING for each in words)


def _count_first(words: list[str]) -> int:
    """How many of them only say that it goes on."""
    return next((len(each) for each in _FIRST if tuple(words[: len(each)]) == each), 0)

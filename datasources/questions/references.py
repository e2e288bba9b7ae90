"""Words that stand for something that was named elsewhere: "its", "they", "sus", "mereka"."""

from collections.abc import Sequence

from datasources.questions.followup_parts import POINTING, RELATIVE, TABLES
from datasources.questions.reading import Item
from datasources.questions.times import read_span
from datasources.questions.words import split_words

REFERENCES = frozenset(TABLES["references"].split())
POSSESSIVES = frozenset(TABLES["possessives"].split())
_FOLLOW = frozenset(TABLES["possessives_follow"].split())
_ELLIPTIC = [tuple(each.split()) for each in TABLES["elliptic"]]
_NO_REFERENCE = frozenset(TABLES["no_reference"].split()) | RELATIVE
_HOW_MANY = frozenset(("cuanto", "cuanta", "cuantos", "cuantas"))
_THINGS = frozenset(("table", "value"))
_OBJECTS = _THINGS | {"column", "than", "period"}


def find_reference(words: Sequence[str], items: Sequence[Item]) -> str:
    """The word of a question that points at something which the question does not name; "" without one.

    "Machines and their hours" does name it, and so does "mesin yang jamnya 300".
    """
    inside = _list_named(words) | {index for each in items for index in range(each.place, each.place + len(each.words))}
    for index, word in enumerate(words):
        if index in inside:
            continue
        is_own = word in POSSESSIVES and not _has_owner(words, items, index)
        if word in REFERENCES or is_own or _has_no_subject(words, items, index):
            return word
    return next((word for each in items for word in each.words if _is_of_unnamed(word, each, items)), "")


def may_point(question: str) -> bool:
    """Whether a word of it may speak of what was given before: "the second one", "its hours", "which has the most?"."""
    words = split_words(question)
    named = _list_named(words)
    pointing = POINTING | REFERENCES | POSSESSIVES
    is_elliptic = any(tuple(words[: len(each)]) == each for each in _ELLIPTIC)
    return is_elliptic or any(
        (word in pointing and index not in named) or _ends_so(word) for index, word in enumerate(words)
    )


def _list_named(words: Sequence[str]) -> set[int]:
    """The places of words that name a time: "this month", "bulan ini"."""
    return {
        place
        for index in range(len(words))
        if (span := read_span(words, index))
        for place in range(index, index + span[1])
    }


def _has_owner(words: Sequence[str], items: Sequence[Item], index: int) -> bool:
    """Whether the possessive there follows what it belongs to: "machines with their status"."""
    return words[index - 1] in _FOLLOW and any(
        each.place < index and each.kind in (*_THINGS, "column") for each in items
    )


def _has_no_subject(words: Sequence[str], items: Sequence[Item], index: int) -> bool:
    """Whether the Spanish verb there has none: "¿Cuántos ciclos tiene?"."""
    if words[index] not in ("tiene", "tienen") or _HOW_MANY.isdisjoint(words[:index]):
        return False
    kinds = _THINGS if words[index] == "tiene" else _OBJECTS  # of one thing, "cuántos ciclos" are no subject
    return not any(each.place > index and each.kind in kinds for each in items)


def _is_of_unnamed(word: str, item: Item, items: Sequence[Item]) -> bool:
    """Whether *word* is of something by its ending, in Indonesian, and nothing in the question is what it is of."""
    if not _ends_so(word) or item.kind not in ("table", "column", "value"):
        return False
    others = [each for each in items if each is not item]
    is_named = any(each.kind in _THINGS or (each.kind == "column" and each.place < item.place) for each in others)
    return not is_named


def _ends_so(word: str) -> bool:
    return len(word) > 5 and word.endswith("nya") and word not in _NO_REFERENCE

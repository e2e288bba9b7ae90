"""What a text denies: its negations with the words they bear on, and words that mean the opposite of another."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from utils.facts.folding import fold
from utils.facts.words import NEGATIONS, NOT_ONLY, OPPOSITES

_TOKEN = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_AFTER, _BEFORE = 4, 2  # words that a negation may bear on


def _load_sides() -> dict[str, tuple[frozenset[str], frozenset[str]]]:
    """For each word, those that say the same in its pair, and those that say the opposite."""
    sides: dict[str, tuple[frozenset[str], frozenset[str]]] = {}
    for one, other in OPPOSITES:
        for words, against in ((one, other), (other, one)):
            for word in words:
                same, opposite = sides.get(word, (frozenset(), frozenset()))
                sides[word] = (same | words, opposite | against)
    return sides


_SIDES = _load_sides()


@dataclass(frozen=True, slots=True)
class Negation:
    """A word that denies, where it stands, and the folded words that it may bear on."""

    word: str
    start: int
    bears_on: tuple[str, ...]
    before: tuple[str, ...]


def tokenize(text: str) -> list[tuple[str, int]]:
    """The words of *text*, folded, with their places."""
    return [(fold(match[0]), match.start()) for match in _TOKEN.finditer(text)]


def find_negations(words: Sequence[tuple[str, int]], language: str) -> list[Negation]:
    """What is denied in *words* (`tokenize`) in *language*; "not only" denies nothing."""
    denying, only = NEGATIONS.get(language, NEGATIONS["en"]), NOT_ONLY.get(language, NOT_ONLY["en"])
    negations = []
    for index, (word, start) in enumerate(words):
        if word in denying or word.endswith("n't"):
            after = tuple(each for each, _ in words[index + 1 : index + 1 + _AFTER])
            if not after or after[0] not in only:
                before = tuple(each for each, _ in words[max(0, index - _BEFORE) : index])
                negations.append(Negation(word, start, after, before))
    return negations


def find_denying(words: Sequence[str], language: str) -> list[str]:
    """The *words*, which are folded, that deny."""
    negations = NEGATIONS.get(language, NEGATIONS["en"])
    return [word for word in words if word in negations or word.endswith("n't")]


def find_opposed(claim: set[str], source: set[str]) -> tuple[str, str] | None:
    """A word of *claim* and its opposite that stands in *source* instead; both are words folded."""
    for word in sorted((claim - source) & _SIDES.keys()):
        same, opposite = _SIDES[word]
        if not same & source and (shared := opposite & source) and not opposite & claim:
            return word, min(shared)
    return None

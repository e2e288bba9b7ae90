"""A question as passages are compared with it, word by word."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import islice

from retrieval.lexical import make_embedding_text
from utils.language import detect_language
from utils.passages import Passage
from utils.words import hash_content_words

_NAME_WEIGHT = 3  # names and numbers say more about the subject than any other word
_WORD = re.compile(r"[^\W_]+(?:[-'’.,][^\W_]+)*")
# Coarse, but a search splits dozens of passages: an abbreviation in the middle of a sentence costs little here.
# The mark goes with the end, for it is in no stem: a pattern that begins with a space is tried at each of a passage's.
_SENTENCE_END = re.compile(r"[.!?…\n](?:(?<=\n)|(?=\s))\s*")
_MAX_WORDS = 200  # different ones, that are compared: more than a page has
_KEPT = 1024  # passages whose stems are kept, some 10 kB each: the same ones are found again and again
Stems = list[tuple[frozenset[int], int, int]]
"""The stems of each word, its weight, and how often it is there."""


class Question:
    """The words of a question; what is found out of them serves all passages it is compared with."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._stems: dict[str, Stems] = {}
        self._places: dict[str, dict[int, list[int]]] = {}

    @cached_property
    def language(self) -> str:
        """The ISO 639-1 code of its language, empty where it is too short to tell."""
        return detect_language(self.text, default="")

    def share_in(self, passage: Passage) -> float:
        """The part of its content words in *passage*, 0 to 1, names and numbers counting threefold."""
        words = self._find_stems(passage.language)
        total = sum(weight * times for _, weight, times in words)
        if not total:
            return 0.0
        passage_stems = _hash_stems(make_embedding_text(passage), passage.language)
        return sum(weight * times for stems, weight, times in words if not passage_stems.isdisjoint(stems)) / total

    def names_more_than(self, passages: Sequence[Passage]) -> bool:
        """Whether it has a name or number that stands in none of *passages*: then it has a subject of its own."""
        names = [word for (word, weight), _ in self._words if weight == _NAME_WEIGHT]
        return any(passages and all(_lacks(passage, word) for passage in passages) for word in names)

    def share_in_best_sentence(self, passage: Passage) -> float:
        """The part of its content words in the sentence of *passage* that has most of them, 0 to 1."""
        words = self._find_stems(passage.language)
        if not words:
            return 0.0
        places = self._places[passage.language]
        total = sum(times for _, _, times in words)
        sentences = _hash_stems_by_sentence(passage.text, passage.language)
        return max((_count_met(words, places, there) for there in sentences), default=0) / total

    def _find_stems(self, language: str) -> Stems:
        if language not in self._stems:
            stemmed = ((hash_content_words(word, language), weight, times) for (word, weight), times in self._words)
            self._stems[language] = words = [each for each in stemmed if each[0]]
            places: dict[int, list[int]] = {}
            for place, (stems, _, _) in enumerate(words):
                for stem in stems:
                    places.setdefault(stem, []).append(place)
            self._places[language] = places
        return self._stems[language]

    @cached_property
    def _words(self) -> list[tuple[tuple[str, int], int]]:
        """Different ones with their weights, and how often each is there."""
        words = _WORD.findall(self.text)
        # The first word of a question has a capital whatever it is.
        named = [any(map(str.isdigit, word)) or (i > 0 and word[0].isupper()) for i, word in enumerate(words)]
        weighted = [(word, _NAME_WEIGHT if name else 1) for word, name in zip(words, named, strict=True)]
        return list(islice(Counter(weighted).items(), _MAX_WORDS))


def _count_met(words: Stems, places: Mapping[int, Sequence[int]], stems: frozenset[int]) -> int:
    """How many of *words* are *stems*; looked for by its stems, which are few in a sentence."""
    met = {place for stem in stems if stem in places for place in places[stem]}
    return sum(words[place][2] for place in met)


def _lacks(passage: Passage, word: str) -> bool:
    stems = hash_content_words(word, passage.language)
    return bool(stems) and stems.isdisjoint(_hash_stems(make_embedding_text(passage), passage.language))


@lru_cache(_KEPT)
def _hash_stems(text: str, language: str) -> frozenset[int]:
    return hash_content_words(text, language)


@lru_cache(_KEPT)
def _hash_stems_by_sentence(text: str, language: str) -> Sequence[frozenset[int]]:
    return [hash_content_words(each, language) for each in _SENTENCE_END.split(text) if each]

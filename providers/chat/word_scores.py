"""How many of a question's words sentences have: as they are, or also by translations and words that say the same."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import NamedTuple

from providers.chat.candidates import WORD, Candidate
from utils.language import detect_any_language
from utils.translations import find_translations
from utils.words import hash_content_words

_LEAD_WEIGHT = 0.5  # of words that stand in the heading or the line above a list, not in the sentence
_LEAD_WEIGHT_OF_ROW = 0.8  # a row seldom says what it is of
_ALIKE = 0.8  # of a word of the question's own language, that another one says nearly the same
MIN_WORDS = 3  # of a question, that tell sentences apart
_NAME_WEIGHT = 0.25  # of words that are only names: they tell the document, and its sentences less
_MAX_WORDS = 60  # of a question, that are translated
_QUESTIONS_KEPT = 64
# They say what is asked for, not what about.
_ASKING = re.compile(
    r"\b(?:what|which) (?:time|days?|dates?|hours?)\b|\bqu[eé] (?:horas?|d[ií]as?|fechas?)\b"
    r"|\b(?:jam|pukul|tanggal) berapa\b|\bhari apa\b",
    re.IGNORECASE,
)


def score_words(question: str, sentences: Sequence[Candidate]) -> list[float]:
    """The share of the question's words in each sentence, 0 to 1, a rare word counting more than a common one.

    What the document's title says goes for all of it: a sentence gains nothing by saying it again.
    Weights are BM25's inverse document frequencies over *sentences*.
    """
    question = _ASKING.sub(" ", question)
    frequency = Counter(word for sentence in sentences for word in sentence.words)
    queries = {language: hash_content_words(question, language) for language in {s.language for s in sentences}}
    names = find_names_alone(sentences)
    every = frozenset[int]().union(*queries.values())
    weights = {word: _weigh(frequency[word], len(sentences), is_name=word in names) for word in every}

    def weigh(words: frozenset[int]) -> float:
        return sum(weights[word] for word in words)

    @cache  # a passage's sentences have the same title
    def find_targets(language: str, title: frozenset[int]) -> tuple[frozenset[int], float]:
        targets = queries[language] - title
        return targets, weigh(targets) or 1.0

    scores = []
    for sentence in sentences:
        targets, total = find_targets(sentence.language, sentence.title)
        lead = targets & (sentence.lead - sentence.words)
        scores.append((weigh(targets & sentence.words) + _LEAD_WEIGHT * weigh(lead)) / total)
    return scores


def score_translated_words(question: str, sentences: Sequence[Candidate]) -> list[float]:
    """As `score_words`; a word is also met by its translation, or in its own language by one that says nearly the same.

    Words that none of *sentences* can have, as no translation is known, do not count.
    """
    source = detect_any_language(question)
    question = _ASKING.sub(" ", question)
    words = [word for word in dict.fromkeys(WORD.findall(question)) if hash_content_words(word, source)]
    languages = {sentence.language for sentence in sentences}
    queries = {language: [_Word.read(word, source, language) for word in words[:_MAX_WORDS]] for language in languages}
    names = find_names_alone(sentences)
    weights = []
    for place in range(len(words[:_MAX_WORDS])):
        count = sum(not queries[each.language][place].every.isdisjoint(each.words) for each in sentences)
        is_name = any(not each[place].itself.isdisjoint(names) for each in queries.values())
        weights.append(_weigh(count, len(sentences), is_name=is_name))
    return [_share(queries[each.language], weights, each) for each in sentences]


def _weigh(count: int, total: int, *, is_name: bool) -> float:
    """BM25's inverse document frequency of a word that *count* of *total* sentences have, less for a name."""
    return math.log1p((total - count + 0.5) / (count + 0.5)) * (_NAME_WEIGHT if is_name else 1)


def find_names_alone(sentences: Sequence[Candidate]) -> frozenset[int]:
    """The words that *sentences* have as names alone."""
    names = frozenset[int]().union(*(each.names for each in sentences))
    return names.difference(*(each.plain for each in sentences))


def leave_out_names(question: str, sentences: Sequence[Candidate]) -> str:
    """*question* without the words that *sentences* have as names alone; itself where it has no others."""
    names = find_names_alone(sentences)
    languages = {sentence.language for sentence in sentences}
    words = [
        word
        for word in question.split()
        if all(names.isdisjoint(hash_content_words(word, language)) for language in languages)
    ]
    rest = " ".join(words)
    return rest if hash_content_words(rest, detect_any_language(question)) else question


def is_short(question: str) -> bool:
    """Whether *question* has so few content words that many sentences have them all."""
    return len(hash_content_words(question, detect_any_language(question))) < MIN_WORDS


def find_words_of_its_own(question: str, sentence: Candidate) -> frozenset[int]:
    """The words of *question*, and those that say the same, without those that what *sentence* stands under has."""
    source = detect_any_language(question)
    words = (_Word.read(word, source, sentence.language).every for word in WORD.findall(question)[:_MAX_WORDS])
    return frozenset[int]().union(*(word for word in words if word.isdisjoint(sentence.lead)))


def score_openings(question: str, sentences: Sequence[Candidate]) -> list[float]:
    """How early each sentence has one of the question's words, 1 to 0: what a sentence is about stands at its head.

    1 where it is the first content word, 1/2 the second, and so on; translations count. What the document's title says
    goes for all of it.
    """
    source = detect_any_language(question)
    words = [word for word in dict.fromkeys(WORD.findall(question)) if hash_content_words(word, source)]
    queries = {
        language: [_Word.read(word, source, language).every for word in words[:_MAX_WORDS]]
        for language in {sentence.language for sentence in sentences}
    }

    def measure(sentence: Candidate) -> float:
        targets = frozenset().union(*(each for each in queries[sentence.language] if each.isdisjoint(sentence.title)))
        return next((1 / at for at, stems in enumerate(sentence.opening, 1) if not targets.isdisjoint(stems)), 0.0)

    return [measure(sentence) for sentence in sentences]


class _Word(NamedTuple):
    """A word of a question in the language of a sentence: stems of itself, and of what says the same, worth *alike*."""

    itself: frozenset[int]
    others: frozenset[int]
    alike: float

    @classmethod
    def read(cls, word: str, source: str, target: str) -> "_Word":
        others = find_translations(word, source, target)
        return cls(hash_content_words(word, target), others, _ALIKE if source == target else 1.0)

    @property
    def every(self) -> frozenset[int]:
        return self.itself | self.others

    def count_in(self, words: frozenset[int]) -> float:
        """1 where it is in *words*, less where another one says it there, else 0."""
        return 1.0 if not self.itself.isdisjoint(words) else self.alike * (not self.others.isdisjoint(words))


class QuestionWords(NamedTuple):
    """The words of a question in the language of a sentence: its *own*, and with what says the same *translated*."""

    own: frozenset[int]
    translated: frozenset[int]

    @classmethod
    @lru_cache(_QUESTIONS_KEPT)  # several parts of an answer ask for them, each table for itself
    def read(cls, question: str, language: str) -> "QuestionWords":
        """Those of *question* in *language*."""
        source = detect_any_language(question)
        words = [_Word.read(word, source, language) for word in WORD.findall(question)[:_MAX_WORDS]]
        own = hash_content_words(question, language)
        return cls(own, own.union(*(word.every for word in words)))


def _share(words: Sequence[_Word], weights: Sequence[float], sentence: Candidate) -> float:
    lead_weight = _LEAD_WEIGHT_OF_ROW if sentence.block.kind == "table" else _LEAD_WEIGHT
    met = total = 0.0
    for word, weight in zip(words, weights, strict=True):
        if word.every.isdisjoint(sentence.title):
            total += weight
            met += weight * max(word.count_in(sentence.words), lead_weight * word.count_in(sentence.lead))
    # Where the document is about all of it, each of its sentences may answer.
    return met / total if total else float(bool(words))

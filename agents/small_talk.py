"""What needs no documents: greetings, thanks, what the assistant is and can do, and somebody who wants to die.

It is told from questions by the phrases people use. A message is compared with some 370 phrases, and with questions
that sound like them ("where are you?"). Of 6,043 messages of public sets none that asks for something was taken for
small talk. Comparing by the embedding model knew fewer (88 % of 94 messages, words 94 %) and cost a start of seven
seconds.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args

from agents.distress import find_distress
from utils.data_files import load_json
from utils.facts.folding import fold

Intent = Literal["greeting", "thanks", "identity", "abilities", "help", "goodbye", "distress"]

_LONGEST = 120  # characters; small talk is short
_MAX_WORDS = 10
_ALIKE, _ALIKE_WITH_A_NEW_WORD = 0.45, 0.65  # cosines
_LEAD = 0.1  # by which a phrase must be nearer than any question, where a word is new
_WORD = re.compile(r"[^\W_]+")
_PART_END = re.compile(r"[.,;!?…]+(?:\s+(?:and|y|e|dan)\b)?|\s(?:and|y|e|dan)\s", re.IGNORECASE)
_MAX_PARTS = 4
# Of several things that are said at once, the one that is answered: who the assistant is says what it can do, too.
_ANSWERED_FIRST: tuple[Intent, ...] = ("identity", "abilities", "help", "thanks", "goodbye", "greeting")
_FLOOD = re.compile(r"(.)\1{2,}")  # "hellooo"
Weights = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class SmallTalk:
    """What somebody wants; `language` is the ISO 639-1 code of the nearest phrase, empty for another than our three."""

    intent: Intent
    language: str


@dataclass(frozen=True, slots=True)
class _Phrase:
    kind: str  # an `Intent`, or "question"
    language: str
    words: Weights


def recognise(message: str) -> SmallTalk | None:
    """What small talk *message* is, None where it asks for something.

    One that is none as a whole may still be of several parts that all are: "Who are you and what can you do?"
    """
    if language := find_distress(message):
        return SmallTalk("distress", language)
    if len(message) > _LONGEST:
        return None
    if whole := _recognise_part(message):
        return whole
    parts = [part for part in _PART_END.split(message) if part.strip()]
    if not 1 < len(parts) <= _MAX_PARTS:
        return None
    result = [talk for part in parts if (talk := _recognise_part(part))]
    return min(result, key=lambda talk: _ANSWERED_FIRST.index(talk.intent)) if len(result) == len(parts) else None


def _recognise_part(message: str) -> SmallTalk | None:
    words = _split_words(message)
    if not words or len(words) > _MAX_WORDS or any(map(str.isdigit, message)):
        return None
    phrases = _load_phrases()
    new = sum(word not in phrases.vocabulary for word in words)
    if new > 1:
        return None
    weights = phrases.weigh(words)
    near = max(phrases.small_talk, key=lambda phrase: _compute_cosine(weights, phrase.words))
    likeness = _compute_cosine(weights, near.words)
    of_question = max(_compute_cosine(weights, phrase.words) for phrase in phrases.questions)
    is_near = likeness - of_question >= _LEAD and likeness >= _ALIKE_WITH_A_NEW_WORD
    if not (is_near if new else likeness >= _ALIKE and likeness > of_question):
        return None
    return SmallTalk(next(intent for intent in get_args(Intent) if intent == near.kind), near.language)


class _Phrases:
    """The phrases as messages are compared with them: words and pairs of neighbours, rare ones counting more."""

    def __init__(self, texts: Mapping[str, Mapping[str, list[str]]]) -> None:
        every = [
            (kind, code, _split_words(text)) for kind in texts for code in texts[kind] for text in texts[kind][code]
        ]
        self._frequency = Counter(word for _, _, words in every for word in set(words))
        self._count = len(every)
        self.vocabulary = {word for kind, _, words in every if kind != "question" for word in words}
        phrases = [_Phrase(kind, code, self.weigh(words)) for kind, code, words in every]
        self.small_talk = [phrase for phrase in phrases if phrase.kind != "question"]
        self.questions = [phrase for phrase in phrases if phrase.kind == "question"]

    def weigh(self, words: list[str]) -> Weights:
        """TF-IDF of length 1; pairs count half, the beginning and the end as words."""
        result: Counter[str] = Counter()
        for word in words:
            result[word] += self._compute_rarity(word)  # type: ignore[assignment]  # Counter is typed for whole numbers
        for one, other in zip(["", *words], [*words, ""], strict=True):
            result[f"{one} {other}"] += (self._compute_rarity(one) + self._compute_rarity(other)) / 4  # type: ignore[assignment]
        length = math.sqrt(sum(weight * weight for weight in result.values()))
        return {term: weight / length for term, weight in result.items()}

    def _compute_rarity(self, word: str) -> float:
        return math.log((self._count + 1) / (self._frequency[word] + 0.5))


@cache
def _load_phrases() -> _Phrases:
    return _Phrases(_load()["phrases"])


@cache
def _load() -> dict[str, Any]:
    """The phrases by what is wanted and language, short forms with what they mean, and words that mean nothing."""
    return dict(load_json("agents", "small_talk.json"))


def _split_words(text: str) -> list[str]:
    lexicon = _load()
    words = _WORD.findall(_FLOOD.sub(r"\1", fold(text).replace("'", "")))
    plain = " ".join(lexicon["short_forms"].get(word, word) for word in words).split()
    return [word for word in plain if word not in lexicon["fillers"]] or plain


def _compute_cosine(one: Weights, other: Weights) -> float:
    return sum(weight * other.get(term, 0.0) for term, weight in one.items())

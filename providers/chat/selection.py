"""Which sentences of the passages answer a question: by the words they share with it, and by what it asks for.

The constants were chosen on the four sets of `benchmarks/answers.py` together; the figures change little around them.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from prompts.rag import NumberedPassage
from providers.chat.sentences import split_sentences
from utils.language import detect_language
from utils.words import content_words

# What a sentence of a later passage has to make up for, in shares of the question's words.
_LATER_PASSAGE = (0.0, 0.3, 0.5, 0.6, 0.7)
# A passage none of whose sentences has this share of the question's words is about something else, unless question and
# document differ in language.
ON_TOPIC = 0.3
_LEAD_WEIGHT = 0.5  # of words that stand in the heading or the line above a list, not in the sentence
_ASKED_FOR_BONUS = 0.3
_MOST_CLAUSES = 100  # of a sentence that is too long, from which its run may begin
_MEANING_WEIGHT = 0.4  # of a standard deviation of similarity
# A sentence with less than this share of the best one's score is left out: it fills the answer without adding to it.
# Beside the best one, in its passage, the bar is lower: the answer often stands near it.
_RELATIVE_FLOOR, _FLOOR_AT_HOME = 0.3, 0.1

_ASKS_FOR_NUMBER = re.compile(
    r"\bhow (?:many|much|long|old|far|often|high|large|big|tall|fast)\b|\bwhen\b"
    r"|\bwhat (?:time|year|date|percent\w*|number)\b"
    r"|\bcuánt[oa]s?\b|\bcuándo\b|\bqué (?:hora|año|fecha|porcentaje|número|día)\b"
    r"|\bberapa(?:kah)?\b|\b(?:kapan|bila)(?:kah)?\b",
    re.IGNORECASE,
)
_ASKS_FOR_NAME = re.compile(
    r"\bwho(?:m|se)?\b|\bwhere\b|\bquién(?:es)?\b|\bdónde\b|\bsiapa(?:kah)?\b|\b(?:di|ke|dari) ?mana(?:kah)?\b",
    re.IGNORECASE,
)
_CAPITALISED = re.compile(r"(?<=[^.!?\s] )[^\W\d_a-zß-öø-ÿ]\w+")
_REFERENCE_MARK = re.compile(r"\s?\[\d{1,3}\]")
_CLAUSE_END = re.compile(r"[,;:)–—]\s+")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence that can be quoted. *number* is its passage's mark, *rank* counts passages from 0.

    *head* names the columns of the table it is a row of; *lead* are the words of what it stands under.
    """

    number: int
    rank: int
    language: str
    text: str
    head: str
    words: frozenset[int]
    lead: frozenset[int]


@dataclass(frozen=True, slots=True)
class Quote:
    """Words of passage *number*, verbatim but for a cut marked with "…" and the document's own reference marks."""

    number: int
    text: str

    def __str__(self) -> str:
        return f"{self.text} [{self.number}]"


def candidates(passages: Sequence[NumberedPassage]) -> list[Candidate]:
    """Every sentence of *passages* that says anything, in order; one in several passages counts for the first alone."""
    found: dict[str, Candidate] = {}
    for rank, passage in enumerate(passages):
        language = detect_language(passage.text)
        for sentence in split_sentences(passage.text):
            text = _REFERENCE_MARK.sub("", sentence.text)  # a reader would take it for a mark of ours
            words = content_words(text, language)
            lead = content_words(f"{passage.heading}\n{sentence.lead}\n{sentence.head}", language)
            candidate = Candidate(passage.number, rank, language, text, sentence.head, words, lead)
            found.setdefault(" ".join(text.split()), candidate)
    return [candidate for text, candidate in found.items() if any(map(str.isalnum, text))]


def word_scores(question: str, sentences: Sequence[Candidate]) -> list[float]:
    """The share of the question's words in each sentence, 0 to 1, a rare word counting more than a common one.

    Weights are BM25's inverse document frequencies over *sentences*.
    """
    frequency = Counter(word for sentence in sentences for word in sentence.words)
    asked = {language: content_words(question, language) for language in {s.language for s in sentences}}

    def weight(words: frozenset[int]) -> float:
        return sum(math.log1p((len(sentences) - frequency[w] + 0.5) / (frequency[w] + 0.5)) for w in words)

    totals = {language: weight(words) or 1.0 for language, words in asked.items()}
    return [
        (weight(asked[s.language] & s.words) + _LEAD_WEIGHT * weight(asked[s.language] & (s.lead - s.words)))
        / totals[s.language]
        for s in sentences
    ]


def select_quotes(
    question: str, sentences: Sequence[Candidate], scores: Sequence[float], *, max_chars: int
) -> list[Quote]:
    """The sentences that answer *question* best, at most *max_chars* with their marks, the best one's passage first.

    *scores* are those of `sentence_scores`.
    """
    best, *others = sorted(range(len(sentences)), key=lambda i: -scores[i])
    chosen: dict[float, Quote] = {best: _shorten(question, sentences[best], max_chars)}
    left = max_chars - len(str(chosen[best]))
    for i in others:
        quote = Quote(sentences[i].number, sentences[i].text)
        floor = _FLOOR_AT_HOME if sentences[i].number == sentences[best].number else _RELATIVE_FLOOR
        if scores[i] >= floor * scores[best] and len(str(quote)) < left:
            chosen[i] = quote
            left -= len(str(quote)) + 1
    _add_table_heads(chosen, sentences, left)
    return _in_reading_order(chosen)


def _add_table_heads(chosen: dict[float, Quote], sentences: Sequence[Candidate], left: int) -> None:
    """Put the names of the columns above quoted rows that are hard to understand without, where there is room."""
    for i in sorted(chosen):
        head = Quote(sentences[int(i)].number, sentences[int(i)].head)
        if head.text.count(" | ") > 1 and head not in chosen.values() and len(str(head)) < left:
            chosen[i - 0.5] = head
            left -= len(str(head)) + 1


def sentence_scores(
    question: str, sentences: Sequence[Candidate], likeness: Sequence[float] | None = None
) -> list[float]:
    """How well each of *sentences* answers *question*; the greater the better.

    *likeness* is each sentence's similarity of meaning in standard deviations from their mean, where it is known.
    """
    shares, asked = word_scores(question, sentences), _AskedFor(question)
    on_topic = {s.rank for s, share in zip(sentences, shares, strict=True) if share >= ON_TOPIC or likeness}
    scores = [
        share
        + _MEANING_WEIGHT * like
        + _ASKED_FOR_BONUS * (asked.given_in(s.text) if share or s.rank in on_topic else 0)
        - _later(s.rank)
        for share, like, s in zip(shares, likeness or [0.0] * len(sentences), sentences, strict=True)
    ]
    # Beside the best sentence, others of its passage are not at a disadvantage.
    home = sentences[scores.index(max(scores))].rank
    return [score + _later(home) * (s.rank == home) for score, s in zip(scores, sentences, strict=True)]


def _later(rank: int) -> float:
    return _LATER_PASSAGE[min(rank, len(_LATER_PASSAGE) - 1)]


class _AskedFor:
    """What kind of thing a question asks for: looked for in it once, and then in many sentences."""

    def __init__(self, question: str) -> None:
        self._number = _ASKS_FOR_NUMBER.search(question) is not None
        self._name = _ASKS_FOR_NAME.search(question) is not None
        self._known = question.casefold()

    def given_in(self, sentence: str) -> int:
        """How many of the things asked for, a number and a name, *sentence* has and the question has not."""
        number = self._number and any(map(str.isdigit, sentence))
        name = self._name and any(word.casefold() not in self._known for word in _CAPITALISED.findall(sentence))
        return number + name


def _shorten(question: str, sentence: Candidate, max_chars: int) -> Quote:
    """The sentence, or if it is too long its run of clauses with most of the question's words, cut ends marked "…"."""
    whole = Quote(sentence.number, sentence.text)
    room = max_chars - len(str(whole)) + len(whole.text)
    if len(whole.text) <= room:
        return whole
    starts = [0, *(end.end() for end in islice(_CLAUSE_END.finditer(whole.text), _MOST_CLAUSES))]
    asked = content_words(question, sentence.language)
    runs = [_run(whole.text, start, room) for start in starts]
    return Quote(sentence.number, max(runs, key=lambda run: len(asked & content_words(run, sentence.language))))


def _run(text: str, start: int, room: int) -> str:
    """As much of *text* from *start* as fits, to the end of a clause, else of a word."""
    head = "…" if start else ""
    if len(text) - start + len(head) <= room:
        return head + text[start:]
    piece = text[start : start + room - len(head) - 1]
    clauses = [end.start() for end in _CLAUSE_END.finditer(piece)]
    end = clauses[-1] if clauses else max(piece.rfind(" "), 0) or len(piece)
    return f"{head}{piece[:end].rstrip()}…"


def _in_reading_order(chosen: dict[float, Quote]) -> list[Quote]:
    """Quotes passage by passage, in the order of *chosen*, and inside a passage as they stand there."""
    numbers = list(dict.fromkeys(quote.number for quote in chosen.values()))
    return [chosen[i] for i in sorted(chosen, key=lambda i: (numbers.index(chosen[i].number), i))]

"""How well sentences answer a question: by the words they share with it or by meaning, and by what it asks for.

The constants were chosen on the four sets of `benchmarks/answers.py` together; the figures change little around them.
"""

import re
from collections.abc import Callable, Sequence

from providers.chat.candidates import Candidate
from providers.chat.followups import leave_out_topic
from providers.chat.question_kinds import DAY, DURATION, LIST, find_kinds
from providers.chat.word_scores import QuestionWords, is_short, score_openings, score_translated_words, score_words

# What a sentence of a later passage has to make up for, in shares of the question's words.
_LATER_PASSAGE = (0.0, 0.3, 0.5, 0.6, 0.7)
# A passage none of whose sentences has this share of the question's words is about something else, unless question and
# document differ in language.
ON_TOPIC = 0.3
_ASKED_FOR_BONUS = 0.3
_MEANING_WEIGHT, _SHARE_BESIDE_MEANING, _LATER_BESIDE_MEANING, _OPENING_BESIDE_MEANING = 20.0, 1.4, 0.25, 0.4
_SAME_QUESTION = 0.5  # for what stands under the very question, as in a list of frequent ones
# Texts in two languages are less alike than in one, whatever they say: by .03 to .06 (`retrieval.answerability`).
FOREIGN_BONUS = 0.03

_ASKS_FOR_NUMBER = re.compile(
    r"\bhow (?:many|much|long|old|far|often|high|large|big|tall|fast)\b|\bwhen\b"
    r"|\bwhat (?:time|year|date|percent\w*|number)\b"
    r"|\bcu[áa]nt[oa]s?\b|\bcu[áa]ndo\b|\bqué (?:hora|año|fecha|porcentaje|número|día)\b"
    r"|\bberapa(?:kah)?\b|\b(?:kapan|bila)(?:kah)?\b",
    re.IGNORECASE,
)
_ASKS_FOR_NAME = re.compile(
    r"\bwho(?:m|se)?\b|\bwhere\b|\bqui[ée]n(?:es)?\b|\bd[óo]nde\b|\bsiapa(?:kah)?\b|\b(?:di|ke|dari) ?mana(?:kah)?\b",
    re.IGNORECASE,
)
_CAPITALISED = re.compile(r"(?<=[^.!?\s] )[^\W\d_a-zß-öø-ÿ]\w+")


def score_sentences(
    question: str, sentences: Sequence[Candidate], likeness: Sequence[float] | None = None
) -> list[float]:
    """How well each of *sentences* answers *question*; the greater the better.

    *likeness* is the cosine of the question and each sentence in its context, where it is known.
    """
    return _score_by_meaning(question, sentences, likeness) if likeness else _score_by_words(question, sentences)


def order_by_words(question: str, sentences: Sequence[Candidate]) -> list[int]:
    """The indexes of *sentences*, those first that most likely answer by words, by what is asked for, and by place."""
    focus, lists = _Focus(question), find_kinds(question) & {LIST}
    scores = [
        share + _ASKED_FOR_BONUS * (focus.count_in(s.text) + len(lists & s.kinds)) - _later(s.rank)
        for share, s in zip(score_translated_words(question, sentences), sentences, strict=True)
    ]
    return sorted(range(len(sentences)), key=lambda i: -scores[i])


def _score_by_words(question: str, sentences: Sequence[Candidate]) -> list[float]:
    shares, focus = _average_shares(score_words, question, sentences), _Focus(question)
    on_topic = {s.rank for s, share in zip(sentences, shares, strict=True) if share >= ON_TOPIC}
    scores = [
        share + _ASKED_FOR_BONUS * (focus.count_in(s.text) if share or s.rank in on_topic else 0) - _later(s.rank)
        for share, s in zip(shares, sentences, strict=True)
    ]
    # Beside the best sentence, others of its passage are not at a disadvantage.
    home = sentences[scores.index(max(scores))].rank
    return [score + _later(home) * (s.rank == home) for score, s in zip(scores, sentences, strict=True)]


def _score_by_meaning(question: str, sentences: Sequence[Candidate], likeness: Sequence[float]) -> list[float]:
    kinds = find_kinds(question)
    shares = _average_shares(score_translated_words, question, sentences)
    words = {language: QuestionWords.read(question, language) for language in {s.language for s in sentences}}
    openings = score_openings(question, sentences) if kinds and is_short(question) else [0.0] * len(sentences)
    return [
        _MEANING_WEIGHT * like
        + _SHARE_BESIDE_MEANING * share
        + _OPENING_BESIDE_MEANING * opening
        + _ASKED_FOR_BONUS * _score_kinds(kinds, s.kinds)
        - _LATER_BESIDE_MEANING * _later(s.rank)
        + _SAME_QUESTION * is_headed_by(words[s.language], s)
        for share, opening, like, s in zip(shares, openings, likeness, sentences, strict=True)
    ]


def _score_kinds(kinds: frozenset[str], found: frozenset[str]) -> float:
    """1 where one of the *kinds* asked for is *found*, 2 a list, whose items say little; .5 a span for "when"."""
    return 0.5 if DAY in kinds and kinds & found == {DURATION} else bool(kinds & found) + (LIST in kinds & found)


def is_headed_by(words: QuestionWords, sentence: Candidate) -> bool:
    """Whether *sentence* stands under the question itself, as in a list of frequent ones, or in the best passage under
    a heading of two or more of its words, most of them."""
    is_most = len(sentence.heading) > max(1, len(words.own) / 2)
    is_of_words = sentence.rank == 0 and is_most and sentence.heading <= words.translated
    return bool(sentence.heading) and (sentence.heading == words.own or is_of_words)


def _average_shares(
    score: Callable[[str, Sequence[Candidate]], list[float]], question: str, sentences: Sequence[Candidate]
) -> list[float]:
    """What *score* gives of *question* with and without the topic of the conversation, which so counts half."""
    each = [score(text, sentences) for text in dict.fromkeys((question, leave_out_topic(question)))]
    return [sum(shares) / len(each) for shares in zip(*each, strict=True)]


def _later(rank: int) -> float:
    return _LATER_PASSAGE[min(rank, len(_LATER_PASSAGE) - 1)]


class _Focus:
    """What kind of thing a question asks for: looked for in it once, and then in many sentences."""

    def __init__(self, question: str) -> None:
        self._number = _ASKS_FOR_NUMBER.search(question) is not None
        self._name = _ASKS_FOR_NAME.search(question) is not None
        self._question = question.casefold()

    def count_in(self, sentence: str) -> int:
        """How many of the things asked for, a number and a name, *sentence* has and the question has not."""
        number = self._number and any(map(str.isdigit, sentence))
        name = self._name and any(word.casefold() not in self._question for word in _CAPITALISED.findall(sentence))
        return number + name

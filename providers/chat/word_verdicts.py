"""What words say of an answer: whether they tell which sentence it is, and whether it gives what is asked for."""

import re
from collections.abc import Iterable, Sequence

from providers.chat.candidates import Candidate
from providers.chat.question_kinds import DAY, LIST, NUMBER, PERSON, PLACE, find_kinds, find_text_kinds
from providers.chat.word_scores import MIN_WORDS, find_names_alone, is_short, score_words
from utils.words import hash_content_words

# Less than this share, and another sentence may say it better in other words.
_SURE_BY_WORDS = 0.6
_YEAR = re.compile(r"\b(?:1\d{3}|20\d\d|(?:tahun|year|año) \d+)\b", re.IGNORECASE)


def needs_meaning(question: str, sentences: Sequence[Candidate]) -> bool:
    """Whether words do not tell which of *sentences* answers *question*.

    No sentence has most of its words, or but for names and the document's title it has only one or two, which many
    sentences may have.
    """
    if not sentences:
        return False
    scores = score_words(question, sentences)
    best = sentences[scores.index(max(scores))]
    words = hash_content_words(question, best.language) - best.title - find_names_alone(sentences)
    return len(words) < MIN_WORDS or max(scores) < _SURE_BY_WORDS


def lacks_asked_kind(question: str, texts: Iterable[str]) -> bool:
    """Whether a *question* of one or two words asks for a day, a place or another kind that none of *texts* gives.

    With more words, patterns are less sure of what is asked for than the words are.
    """
    kinds = _find_short_kinds(question)
    return bool(kinds) and not any(_may_give(kinds, text) for text in texts)


def _find_short_kinds(question: str) -> frozenset[str]:
    return find_kinds(question) - {LIST, NUMBER} if is_short(question) else frozenset()


def _may_give(kinds: frozenset[str], text: str) -> bool:
    """Also by a year or a name, which no pattern takes for a day or for a place."""
    found = find_text_kinds(text)
    is_year = DAY in kinds and _YEAR.search(text) is not None
    return not kinds.isdisjoint(found) or is_year or (PLACE in kinds and PERSON in found)

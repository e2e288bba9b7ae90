"""Questions that come near a passage which does not answer them: told from others by the words of both.

Similarity and shared words say that the passage is about the subject, not that the answer is in it. What tells is that
the question denies something or asks for the opposite; names or numbers of it that the passage has not; a rare word
that stands nowhere near the best sentence; or that who, where, when or how many is asked and nothing of the kind is
there. Each sign is a number, their weights are a logistic regression's, fitted by `benchmarks/near_misses.py` on the
questions about one half of the articles of squad_en and idk_id (SQuAD 2.0 and IDK-MRC, which have questions that people
wrote to have no answer in a passage). The threshold was set on the same half, and rounded; the figures of
`benchmarks/answers.py` for "near misses" are of the other half.
"""

import math
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

from providers.chat.candidates import Candidate
from providers.chat.quote_selection import Quote
from utils.facts.names import find_names, is_known, list_words
from utils.facts.numbers import KnownNumbers, Number, find_numbers
from utils.facts.polarity import find_denying, find_opposed, tokenize
from utils.facts.words import EXCEPTIONS, FREE_OF_CHARGE
from utils.words import hash_content_words

SIGNS = (
    "denies what the best sentence does not",
    "asks for the opposite of what the best sentence says",
    "names that are not in the passage",
    "numbers that are not in the passage",
    "rarest word that is not near the best sentence",
    "share of its words in the passage",
    "share of its neighbouring words that are neighbours in a sentence",
    "who, and no name in the answer",
    "where, and no name in the best sentence",
    "when, and no number in the best sentence",
    "how many, and no number in the best sentence",
)
# As fitted but for "who", which is rare there: 1.2 on these articles, 4.8 with the halves parted by passage.
WEIGHTS = (3.59, 2.62, 0.87, 2.09, 0.17, 0.41, -0.72, 2.5, 0.71, 0.88, 0.16)
INTERCEPT = -1.06
ENOUGH = 0.9  # log odds above which an answer is refused

_WHEN = re.compile(
    r"\b(?:when|(?:what|which) (?:year|date|time)|kapan(?:kah)?|cuándo|(?:qué|cuál) (?:año|fecha))\b", re.IGNORECASE
)
_MANY = re.compile(
    r"\b(?:how (?:many|much|long|old|far|often|high|large|big|tall|fast)|what (?:percent\w*|number)|cuánt[oa]s?"
    r"|berapa(?:kah)?|qué (?:porcentaje|número))\b",
    re.IGNORECASE,
)
_WHO = re.compile(r"\b(?:who(?:m|se)?|quién(?:es)?|siapa(?:kah)?)\b", re.IGNORECASE)
_WHERE = re.compile(
    r"\b(?:where|(?:what|which) (?:city|country|place|state|region)|dónde|(?:di|ke|dari) ?mana(?:kah)?)\b",
    re.IGNORECASE,
)
_YEAR = re.compile(r"\b(?:1\d{3}|20\d\d)\b")
_MAX_PAIRS = 100  # of neighbours in a question
_NEIGHBOURS = 4  # words between which two are neighbours
_STEM = 5  # letters that forms of a word share
_COUNTED = 2  # missing names or numbers, at most


def lacks_answer(
    question: str, sentences: Sequence[Candidate], best: int, quotes: Sequence[Quote], titles: Mapping[int, str]
) -> bool:
    """Whether *quotes* most likely do not answer *question*, of which they have the words; arguments as of `signs`."""
    return odds(signs(question, sentences, best, quotes, titles)) > ENOUGH


def odds(found: Sequence[float]) -> float:
    """The logarithm of the odds that a question with these signs has no answer in the passage."""
    return INTERCEPT + sum(weight * sign for weight, sign in zip(WEIGHTS, found, strict=True))


def signs(
    question: str, sentences: Sequence[Candidate], best: int, quotes: Sequence[Quote], titles: Mapping[int, str]
) -> tuple[float, ...]:
    """The `SIGNS`, in their order, of a *question* answered by *quotes* out of *sentences*, the *best* of them first.

    *titles* are those of the passages, with their headings, by number.
    """
    chosen = sentences[best]
    passage = [sentence for sentence in sentences if sentence.number == chosen.number]
    text = "\n".join(sentence.text for sentence in passage)
    titled = f"{text}\n{titles.get(chosen.number, '')}"
    words = [word for word, _ in tokenize(question)]
    quoted = " ".join(quote.text for quote in quotes)
    there = [word for word, _ in tokenize(chosen.text)]
    denied = find_denying(_leave_out_free(words), chosen.language) and not find_denying(there, chosen.language)
    rarest, share = _measure_uncovered(question, sentences, passage, chosen)
    return (
        float(bool(denied)),
        # What is excepted is the opposite of what is said: that answers, too.
        float(EXCEPTIONS.isdisjoint(there) and find_opposed(set(words), set(there)) is not None),
        _missing_names(question, titled),
        _missing_numbers(question, titled),
        rarest,
        share,
        _neighbours(words, passage, chosen.language),
        float(bool(_WHO.search(question)) and not _has_new_name(quoted, words)),
        float(bool(_WHERE.search(question)) and not _has_new_name(chosen.text, words)),
        float(
            bool(_WHEN.search(question)) and not (_YEAR.search(chosen.text) or _has_new_number(chosen.text, question))
        ),
        float(bool(_MANY.search(question)) and not _has_new_number(chosen.text, question)),
    )


def _leave_out_free(words: Sequence[str]) -> list[str]:
    """*words* without the first of each "without paying", which asks for what is free and denies nothing."""
    following = [*words[1:], ""]
    return [word for word, after in zip(words, following, strict=True) if f"{word} {after}" not in FREE_OF_CHARGE]


def _measure_uncovered(
    question: str, sentences: Sequence[Candidate], passage: Sequence[Candidate], chosen: Candidate
) -> tuple[float, float]:
    """The greatest weight of a word that is not near *chosen*, and the weighted share of words in *passage*."""
    frequency = Counter(word for sentence in sentences for word in sentence.words)
    weights = {
        word: math.log1p((len(sentences) - frequency[word] + 0.5) / (frequency[word] + 0.5))
        for word in hash_content_words(question, chosen.language)
    }
    at = passage.index(chosen)
    near, anywhere = _words(passage[max(0, at - 1) : at + 2]), _words(passage)
    rarest = max((weight for word, weight in weights.items() if word not in near), default=0.0)
    covered = sum(weight for word, weight in weights.items() if word in anywhere)
    return rarest, covered / (sum(weights.values()) or 1.0)


def _words(sentences: Sequence[Candidate]) -> frozenset[int]:
    return frozenset().union(*(sentence.words | sentence.lead for sentence in sentences))


def _missing_names(question: str, text: str) -> float:
    names = [name for name in find_names(question) if not name.opens]
    words = list_words(text) if names else frozenset()
    return float(min(_COUNTED, sum(not is_known(name.key, words) for name in names)))


def _missing_numbers(question: str, text: str) -> float:
    numbers = _plain_numbers(question)
    present = KnownNumbers(find_numbers(text) if numbers else [])
    return float(min(_COUNTED, sum(not present.agree(number) for number in numbers)))


def _plain_numbers(text: str) -> list[Number]:
    return [number for number in find_numbers(text) if not number.is_weak]


def _neighbours(words: Sequence[str], passage: Sequence[Candidate], language: str) -> float:
    """How many of the neighbouring content words of a question are neighbours in one sentence too, at best."""
    content = [word[:_STEM] for word in words if hash_content_words(word, language)]
    pairs = list(pairwise(content))[:_MAX_PAIRS]
    if not pairs:
        return 1.0
    return max(_adjacent(pairs, [word[:_STEM] for word, _ in tokenize(each.text)]) for each in passage) / len(pairs)


def _adjacent(pairs: Sequence[tuple[str, str]], words: Sequence[str]) -> int:
    places: dict[str, list[int]] = {}
    for at, word in enumerate(words):
        places.setdefault(word, []).append(at)
    return sum(_are_near(places.get(one, ()), places.get(other, ())) for one, other in pairs)


def _are_near(some: Sequence[int], others: Sequence[int]) -> bool:
    """Whether two of the places, each in order, are those of neighbours."""
    fewer, more = sorted((some, others), key=len)
    for place in fewer:
        at = bisect_left(more, place - _NEIGHBOURS)
        if at < len(more) and more[at] <= place + _NEIGHBOURS:
            return True
    return False


def _has_new_name(text: str, words: Collection[str]) -> bool:
    return any(name.key not in words for name in find_names(text) if not name.opens or name.follows)


def _has_new_number(text: str, question: str) -> bool:
    numbers = KnownNumbers(_plain_numbers(question))
    return any(not numbers.agree(number) for number in find_numbers(text))

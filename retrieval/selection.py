"""Which of the passages found are given: in order of their best sentence, each text once, neighbours joined."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from itertools import accumulate

from retrieval.question import Question
from utils.passages import Hit, Passage

# What a sentence with all of the question's words adds to the fused score, in standard deviations of the candidates.
SENTENCE_WEIGHT = 0.75
_SHINGLE = 4  # words
# Of all shingles of two texts, the part they must share: one word in 40 may differ, and the words around it with it.
_ALIKE = 0.8
_WORD = re.compile(r"\w+")
_DIGITS = re.compile(r"[0-9]+")
_KEPT = 1024  # texts whose words are kept, some 20 kB each: the same ones are found again and again
# Between two passages of a section stand a blank line, nothing, or one character: of that nothing tells whether it is a
# space or the end of a line, and a quote over it would not be word for word what the document says.
_BETWEEN = {0: "", 2: "\n\n"}
LONGEST_JOINED = 4000  # characters, so that one document does not take the whole prompt
MAX_CHARACTERS = 5000  # of the passages that a language model is shown, where they are more than the least


def order_by_best_sentence(question: Question, hits: Sequence[Hit]) -> list[Hit]:
    """*hits* in order of their fused score and of the part of the question's words that one of their sentences has.

    Words that stand together speak for a passage more than the same ones here and there. Only what is compared with it
    can gain by it: passages in another language than the question count as if their share were the usual one.
    """
    languages = {hit.passage.language for hit in hits}
    own = question.language if len(languages) > 1 and question.language in languages else None
    shares = [
        question.share_in_best_sentence(hit.passage) if own in (None, hit.passage.language) else None for hit in hits
    ]
    present = [share for share in shares if share is not None]
    usual = sum(present) / len(present) if present else 0.0
    scored = [
        replace(hit, score=hit.score + SENTENCE_WEIGHT * (usual if share is None else share))
        for hit, share in zip(hits, shares, strict=True)
    ]
    return sorted(scored, key=lambda hit: -hit.score)


def add_scores(rankings: Sequence[Sequence[Hit]]) -> Sequence[Hit]:
    """The hits of several searches in order of their added scores; one that a search missed has the least there is."""
    if len(rankings) == 1:
        return rankings[0]
    least = [min((hit.score for hit in hits), default=0.0) for hits in rankings]
    scores = [{hit.passage.passage_id: hit.score for hit in hits} for hits in rankings]
    by_id = {hit.passage.passage_id: hit for hits in reversed(rankings) for hit in hits}
    added = [
        replace(hit, score=sum(each.get(passage_id, low) for each, low in zip(scores, least, strict=True)))
        for passage_id, hit in by_id.items()
    ]
    return sorted(added, key=lambda hit: -hit.score)


def drop_repeats(hits: Sequence[Hit]) -> Iterator[Hit]:
    """*hits* in order, without those whose text nearly is that of one before; what is not taken is not compared.

    Texts that differ in a figure are no duplicates, however alike: a fee of last year, and the one of this year.
    """
    seen: list[_Fingerprint] = []
    for hit in hits:
        this = _fingerprint(hit.passage.text)
        if not any(this.is_like(other) for other in seen):
            seen.append(this)
            yield hit


class _Fingerprint:
    """A text as it is compared: its figures in order, and runs of words where two have the same figures."""

    def __init__(self, text: str) -> None:
        self._text = text
        # Most texts have others, and are told apart by them before they are taken apart into words.
        self.digits = _DIGITS.findall(text)

    def is_like(self, other: "_Fingerprint") -> bool:
        if self.digits != other.digits:
            return False
        fewer, more = sorted((len(self.words), len(other.words)))
        if self.figures != other.figures or fewer < _ALIKE * more:
            return False
        shared = len(self.shingles & other.shingles)
        return shared >= _ALIKE * (len(self.shingles) + len(other.shingles) - shared)

    @cached_property
    def words(self) -> list[str]:
        return _WORD.findall(self._text.casefold())

    @cached_property
    def figures(self) -> list[str]:
        return [word for word in self.words if not word.isalpha()]

    @cached_property
    def shingles(self) -> frozenset[int]:
        size = min(_SHINGLE, max(len(self.words), 1))
        return frozenset(map(hash, zip(*(self.words[index:] for index in range(size)), strict=False)))


_fingerprint = lru_cache(_KEPT)(_Fingerprint)


def join_neighbours(hits: Iterable[Hit], *, limit: int) -> list[Hit]:
    """The first *limit* passages of *hits*, best first, neighbours among them made one at the place of the better.

    Neighbours are of one page and heading of a document. Joined they keep the id and the scores of the better one.
    """
    joined: list[Hit] = []
    for hit in hits:
        if len(joined) == limit:
            break
        joined.append(hit)
        at = len(joined) - 1
        while (neighbour := _find_neighbour(joined, at)) is not None:  # it may close the gap between two
            other, together = neighbour
            at, gone = sorted((at, other))
            joined[at] = replace(joined[at], passage=together)
            del joined[gone]
    return joined


def count_within_budget(lengths: Sequence[int], *, least: int) -> int:
    """How many passages of these *lengths* are shown: the *least*, and more within `MAX_CHARACTERS` for all."""
    together = accumulate(lengths)
    return sum(number <= least or size <= MAX_CHARACTERS for number, size in enumerate(together, 1))


def _find_neighbour(hits: Sequence[Hit], index: int) -> tuple[int, Passage] | None:
    """Another of *hits* that the one *index* a place touches, and both as one passage."""
    for other in range(len(hits)):
        first, second = sorted((index, other))
        if first != second and (together := _join(hits[first].passage, hits[second].passage)):
            return other, together
    return None


def _join(one: Passage, other: Passage) -> Passage | None:
    """Both as one passage under the id of *one*, None if they are no neighbours or too long together."""
    former, latter = (one, other) if one.start <= other.start else (other, one)
    between = _BETWEEN.get(latter.start - former.end)
    if between is None or _get_section(one) != _get_section(other):
        return None
    text = former.text + between + latter.text
    if len(text) > LONGEST_JOINED:
        return None
    seam = [len(former.text)] if between else []
    moved = (each + len(text) - len(latter.text) for each in latter.seams)
    return replace(one, start=former.start, end=latter.end, text=text, seams=(*former.seams, *seam, *moved))


def _get_section(passage: Passage) -> tuple[object, ...]:
    return passage.document_id, passage.version, passage.page, passage.heading

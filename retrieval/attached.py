"""Passages of files that were attached to a conversation: they are in no index, and are searched beside it.

So nothing but a search that is given them can find them, whoever asks and however.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from heapq import nlargest
from math import log
from types import MappingProxyType

from retrieval.lexical import Lexicon, RememberingLexicon
from retrieval.ranking import CANDIDATES, Candidates, make_hits, rank
from utils.passages import Hit, Passage
from utils.ports import FloatArray

# Added to the fused score: whoever attaches a file asks about it more often than about anything else.
_PREFERENCE = 0.5
# Passages among which those of the files count for the document frequencies of BM25: by themselves they are so few that
# no word of theirs would be rare, and none would weigh what it does in an index.
_BESIDE = 1_000


@dataclass(frozen=True, slots=True)
class AttachedPassages:
    """Passages, and by their ids the vectors of those that have some yet, made with *model*."""

    passages: Sequence[Passage] = ()
    vectors: Mapping[str, FloatArray] = field(default_factory=lambda: MappingProxyType({}))
    model: str = ""

    def __bool__(self) -> bool:
        return bool(self.passages)

    @property
    def characters(self) -> int:
        """How long their texts are together."""
        return sum(len(passage.text) for passage in self.passages)


NOTHING_ATTACHED = AttachedPassages()


def merge_attached(
    hits: Sequence[Hit], attached: AttachedPassages, question: str, vector: FloatArray | None, *, limit: int
) -> list[Hit]:
    """The best *limit* of *hits* and of what is attached, ranked together, best first.

    *vector* is that of the question, None where they are to be ranked by words alone.
    """
    found = _propose(attached, question, vector)
    found.lexical |= {hit.passage.passage_id: hit.lexical for hit in hits}
    found.dense |= {hit.passage.passage_id: hit.dense for hit in hits if hit.dense is not None}
    own = {passage.passage_id: passage for passage in attached.passages}
    passages = {hit.passage.passage_id: hit.passage for hit in hits} | own
    found.languages = {key: passages[key].language for key in found.dense}
    ranked = make_hits(rank(found, question, limit=len(passages)), passages)
    preferred = [
        replace(hit, score=hit.score + _PREFERENCE) if hit.passage.passage_id in own else hit for hit in ranked
    ]
    return sorted(preferred, key=lambda hit: -hit.score)[:limit]


def _propose(attached: AttachedPassages, question: str, vector: FloatArray | None) -> Candidates[str]:
    """The passages that are best by words, and those by meaning, all scored by both."""
    lexical = _score_words(attached.passages, question)
    dense = {key: float(each @ vector) for key, each in attached.vectors.items()} if vector is not None else {}
    best = {
        *nlargest(CANDIDATES, lexical, key=lexical.__getitem__),
        *nlargest(CANDIDATES, dense, key=dense.__getitem__),
    }
    return Candidates(
        {key: lexical[key] for key in best if key in lexical}, {key: dense[key] for key in best if key in dense}
    )


def _score_words(passages: Sequence[Passage], question: str) -> dict[str, float]:
    """The BM25 scores of those that share a term with *question*, as Qdrant has them."""
    question_terms = _get_lexicon().make_question_terms(question)
    weights = dict(zip(question_terms.indices, question_terms.values, strict=True))
    shared: dict[str, dict[int, float]] = {}
    for passage in passages:
        terms = _get_lexicon().make_passage_terms(passage)
        weights_by_index = {
            index: value for index, value in zip(terms.indices, terms.values, strict=True) if index in weights
        }
        if weights_by_index:
            shared[passage.passage_id] = weights_by_index
    frequency = Counter(index for weights_by_index in shared.values() for index in weights_by_index)
    count = _BESIDE + len(passages)
    idf = {index: log(1 + (count - each + 0.5) / (each + 0.5)) for index, each in frequency.items()}
    return {
        key: sum(weights[index] * idf[index] * value for index, value in weights_by_index.items())
        for key, weights_by_index in shared.items()
    }


@cache
def _get_lexicon() -> Lexicon:
    """Made when the first file is searched: most services have none."""
    return RememberingLexicon()

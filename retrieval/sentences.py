"""The order of passages by what their best sentence has of the question."""

from collections.abc import Sequence
from dataclasses import replace

from retrieval.question import Question
from utils.passages import Hit

# What a sentence with all of the question's words adds to the fused score, in standard deviations of the candidates.
SENTENCE_WEIGHT = 0.75


def by_best_sentence(question: Question, hits: Sequence[Hit]) -> list[Hit]:
    """*hits* in order of their fused score and of the part of the question's words that one of their sentences has.

    Words that stand together speak for a passage more than the same ones here and there. Only what is compared with it
    can gain by it: passages in another language than the question count as if their share were the usual one.
    """
    languages = {hit.passage.language for hit in hits}
    own = question.language if len(languages) > 1 and question.language in languages else None
    shares = [
        question.share_in_best_sentence(hit.passage) if own in (None, hit.passage.language) else None for hit in hits
    ]
    known = [share for share in shares if share is not None]
    usual = sum(known) / len(known) if known else 0.0
    scored = [
        replace(hit, score=hit.score + SENTENCE_WEIGHT * (usual if share is None else share))
        for hit, share in zip(hits, shares, strict=True)
    ]
    return sorted(scored, key=lambda hit: -hit.score)

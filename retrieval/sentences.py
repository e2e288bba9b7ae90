"""The order of passages by what their best sentence has of the question."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

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
    shares = np.array(
        [
            question.share_in_best_sentence(hit.passage) if own in (None, hit.passage.language) else np.nan
            for hit in hits
        ]
    )
    usual = float(np.nanmean(shares)) if hits else 0.0
    gained = SENTENCE_WEIGHT * np.nan_to_num(shares, nan=usual)
    scored = [replace(hit, score=hit.score + float(gain)) for hit, gain in zip(hits, gained, strict=True)]
    return sorted(scored, key=lambda hit: -hit.score)

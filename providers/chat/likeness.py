"""How near sentences are in meaning to a question."""

from collections.abc import Mapping, Sequence

import numpy as np

from providers.chat.candidates import Candidate, find_foreign
from providers.chat.followups import leave_out_topic
from providers.chat.sentence_scores import (
    FOREIGN_BONUS,
)
from providers.chat.word_scores import leave_out_names
from utils.ports import Embedder


def spread_likeness(
    question: str, sentences: Sequence[Candidate], near: Mapping[int, float], whole: Mapping[str, float]
) -> list[float]:
    """The likeness of each of *sentences*. *near*: of those compared, by index; *whole*: of whole lists."""
    lowest = min((*near.values(), *whole.values()))
    foreign = find_foreign(question, (sentences[i] for i in near))
    likeness = [near.get(i, lowest) for i in range(len(sentences))]
    return [
        max(like, whole.get(sentence.list_in_context, like))
        + (FOREIGN_BONUS if i in near and sentence.language in foreign else 0.0)
        for i, (like, sentence) in enumerate(zip(likeness, sentences, strict=True))
    ]


def list_question_forms(question: str, sentences: Sequence[Candidate]) -> list[str]:
    """*question*, and without what was asked before, each also without the names of *sentences*."""
    texts = (question, leave_out_topic(question))
    return list(dict.fromkeys(form for text in texts for form in (text, leave_out_names(text, sentences))))


async def compute_similarities(embedder: Embedder, forms: Sequence[str], texts: Sequence[str]) -> list[float]:
    """How near each of *texts* is to the mean of the question's *forms*, as cosines."""
    question_vectors = [await embedder.embed_query(form) for form in forms]
    vectors = await embedder.embed_passages(texts, urgent=True)
    similarities: list[float] = (vectors @ np.mean(question_vectors, axis=0)).tolist()
    return similarities

"""Passages in three languages with random words and vectors, of two tenants, some waiting for their vector."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from auth.principal import Principal
from retrieval.index import PassageIndex
from tests.retrieval.corpus import ACME, DIMENSION, GLOBEX, passage
from utils.passages import Hit, Passage
from utils.ports import FloatArray

TENANTS = (ACME, GLOBEX)
QUESTIONS = ("river stone library", "what does the lantern cost?", "¿Cuánto cuesta la linterna?", "", "unheard")
_WORDS = ("river", "stone", "library", "lantern", "cost", "window", "garden", "permit", "harbour", "music", "winter")


@dataclass(frozen=True, slots=True)
class Corpus:
    """One tenant's passages, and the vectors of most of them by passage id."""

    passages: list[Passage]
    vectors: dict[str, FloatArray]


def corpus_of(ctx: Principal, *, size: int = 160) -> Corpus:
    """The same at each call; its English passages are more than a ranking proposes.

    No two passages are of the same length, so that equal scores do not leave open which of them are proposed.
    """
    chance, numbers = random.Random(ctx.tenant_id), np.random.default_rng(len(ctx.tenant_id))
    passages = [
        passage(
            " ".join(chance.choices(_WORDS, weights=range(1, len(_WORDS) + 1), k=number + 3)),
            document_id=f"{ctx.tenant_id} {number % 7}",
            language=chance.choice(["en"] * 8 + ["es", "id"]),
        )
        for number in range(size)
    ]
    drawn = numbers.normal(size=(size, DIMENSION)).astype(np.float32)
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    with_vector = [(each, unit) for each, unit in zip(passages, drawn, strict=True) if chance.random() < 0.9]
    return Corpus(passages, {each.passage_id: unit for each, unit in with_vector})


async def fill(index: PassageIndex) -> None:
    """Put each tenant's corpus into *index*."""
    for tenant in TENANTS:
        corpus = corpus_of(tenant)
        await index.put(tenant, corpus.passages)
        await index.put_vectors(tenant, corpus.vectors)


async def answers(index: PassageIndex, ctx: Principal) -> list[Sequence[Hit]]:
    """What *index* finds for each question, with a vector and without."""
    vectors = np.random.default_rng(3).normal(size=(len(QUESTIONS), DIMENSION)).astype(np.float32)
    found = []
    for question, drawn in zip(QUESTIONS, vectors, strict=True):
        unit: FloatArray = drawn / np.linalg.norm(drawn)
        found.append(await index.search(ctx, question, unit, limit=20))
        found.append(await index.search(ctx, question, None, limit=20))
    return found

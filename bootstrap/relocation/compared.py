"""Passages of one tenant in two indexes, compared: how many there are, and some of them whole."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

import numpy as np

from bootstrap.relocation.report import PASSAGES, SAMPLES, Check
from retrieval.index import PassageIndex, Stored
from utils.context import TenantContext

_TOLERANCE = 1e-5  # between two engines that both scale vectors to length 1


@dataclass(slots=True)
class _Found:
    """What one walk over a tenant's index gives; `kept` are some passages of it, by id."""

    passages: int = 0
    vectors: int = 0
    kept: dict[str, Stored] = field(default_factory=dict)


async def compare(source: PassageIndex, target: PassageIndex, ctx: TenantContext) -> tuple[Check, Check]:
    """Passages and vectors of one tenant."""
    ours = await _sample(source, ctx)
    theirs = await _pick(target, ctx, ours.kept)
    texts, vectors = [], []
    for passage_id, stored in ours.kept.items():
        twin = theirs.kept.get(passage_id)
        if twin is None or twin.passage != stored.passage:
            texts.append(f"passage {passage_id} of {ctx.tenant_id}")
        elif not _alike(stored, twin):
            vectors.append(f"the vector of passage {passage_id} of {ctx.tenant_id}")
    if ours.passages != theirs.passages:
        texts.append(f"{ctx.tenant_id} has {ours.passages} passages and {theirs.passages} in the target")
    with_vector = sum(stored.vector is not None for stored in ours.kept.values())
    return (
        Check(PASSAGES, "passages", ours.passages, theirs.passages, len(ours.kept), tuple(texts)),
        Check(PASSAGES, "vectors", ours.vectors, theirs.vectors, with_vector, tuple(vectors)),
    )


async def _sample(index: PassageIndex, ctx: TenantContext) -> _Found:
    """A walk that keeps `SAMPLES` passages, each as likely as any other (reservoir sampling)."""
    found, chance = _Found(), Random()  # noqa: S311 - a sample, not a secret
    slots: list[str] = []
    async for stored in _each(index, ctx, found):
        passage_id = stored.passage.passage_id
        if len(slots) < SAMPLES:
            slots.append(passage_id)
        elif (at := chance.randrange(found.passages)) < SAMPLES:
            del found.kept[slots[at]]
            slots[at] = passage_id
        else:
            continue
        found.kept[passage_id] = stored
    return found


async def _pick(index: PassageIndex, ctx: TenantContext, wanted: Mapping[str, Stored]) -> _Found:
    """A walk that keeps the passages in *wanted*."""
    found = _Found()
    async for stored in _each(index, ctx, found):
        if stored.passage.passage_id in wanted:
            found.kept[stored.passage.passage_id] = stored
    return found


async def _each(index: PassageIndex, ctx: TenantContext, counted: _Found) -> AsyncIterator[Stored]:
    async for batch in index.export(ctx):
        for stored in batch:
            counted.passages += 1
            counted.vectors += stored.vector is not None
            yield stored


def _alike(one: Stored, other: Stored) -> bool:
    if one.vector is None or other.vector is None:
        return one.vector is other.vector
    return one.vector.shape == other.vector.shape and bool(np.allclose(one.vector, other.vector, atol=_TOLERANCE))


def total(what: str, checks: Sequence[Check]) -> Check:
    """What was found of all tenants together."""
    return Check(
        PASSAGES,
        what,
        sum(check.source for check in checks),
        sum(check.target for check in checks),
        sum(check.compared for check in checks),
        tuple(name for check in checks for name in check.differing),
    )

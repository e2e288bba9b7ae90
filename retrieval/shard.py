"""A shard of Qdrant's engine in a folder: opened, or made."""

from collections.abc import Iterable
from pathlib import Path

import qdrant_edge as engine

from retrieval.ranking import FILTERED, MEANING, WORDS
from utils.errors import StoreRefused, StoreUnavailable

# Below this much in one segment, in KiB, a search reads every vector, about 10 ms at the most; above it `optimize`
# builds a graph.
GRAPH_FROM_KIB = 100_000


def open_shard(folder: Path, dimension: int) -> engine.EdgeShard:
    """The shard in *folder*, made where it is missing, for vectors of *dimension* numbers; optimised.

    Raises:
        StoreUnavailable: another process has it open, or it cannot be opened.
        StoreRefused: it was made for vectors of another dimension.
    """
    config = engine.EdgeConfig(
        vectors={MEANING: engine.EdgeVectorParams(dimension, engine.Distance.Cosine)},
        sparse_vectors={WORDS: engine.EdgeSparseVectorParams(modifier=engine.Modifier.Idf)},
        optimizers=engine.EdgeOptimizersConfig(indexing_threshold=GRAPH_FROM_KIB),
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Unlike `create` it also takes a folder whose making was broken off, and one that is empty.
        shard = engine.EdgeShard.load(str(folder), config)
        _index_fields(shard, FILTERED)
        shard.optimize()
    except Exception as exc:  # the engine raises nothing narrower
        raise _refusal(folder, str(exc)) from exc
    return shard


def _index_fields(shard: engine.EdgeShard, names: Iterable[str]) -> None:
    """Index payload fields that are not yet: on every open, for a start that was broken off before it came to this."""
    for name in names:
        if name not in shard.info().payload_schema:
            shard.update(engine.UpdateOperation.create_field_index(name, engine.PayloadSchemaType.Keyword))


def _refusal(folder: Path, reason: str) -> StoreUnavailable:
    if "WouldBlock" in reason:
        return StoreUnavailable(f"The passage index in {folder} is open in another process.")
    if "incompatible" in reason.lower():
        return StoreRefused(
            f"The passage index in {folder} was made for another embedding model: remove it and load again."
        )
    return StoreUnavailable(f"The passage index in {folder} cannot be opened: {reason}")

"""Opens a shard of Qdrant's engine, and says what its errors mean."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar, cast

import numpy as np
import qdrant_edge as engine

from retrieval.index import Stored
from retrieval.ranking import DAYS, FILTERED, MEANING, WORDS, parse_passage
from utils.disk import DiskSpace, find_size_bytes
from utils.errors import NotEnoughSpace, StoreRefused, StoreUnavailable
from utils.ports import FloatArray

T = TypeVar("T")

# Below this much in one segment, in KiB, a search reads every vector, about 10 ms at the most; above it `optimize`
# builds a graph.
GRAPH_FROM_KIB = 100_000
_NO_SPACE = ("os error 28", "os error 122")
_NOT_THE_FILES = ("os error 12", "os error 23", "os error 24", "os error 30")  # memory, open files, a read-only disk


class EngineFailed(StoreUnavailable):
    """The engine could not do what was asked of it; `reason` is for the log."""

    def __init__(self, detail: str, reason: str) -> None:
        super().__init__(detail)
        self.reason = reason


class DamagedShard(EngineFailed):
    """The files of a shard are there, and cannot be opened."""


def open_shard(folder: Path, dimension: int, disk: DiskSpace | None = None) -> engine.EdgeShard:
    """The shard in *folder*, made where it is missing, for vectors of *dimension* numbers; optimised where *disk* has
    room for a second one.

    Raises:
        StoreUnavailable: another process has it open, or it cannot be opened.
        DamagedShard: it never will be.
        NotEnoughSpace: there is no room to open it.
        StoreRefused: it was made for vectors of another dimension.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise StoreUnavailable(f"The passage index in {folder} cannot be opened: {exc}") from exc
    try:
        return run_engine(lambda: _open(folder, dimension, disk))
    except EngineFailed as exc:
        raise _translate_error(folder, exc.reason) from exc


def load_shard(folder: Path, dimension: int) -> engine.EdgeShard:
    """The shard as it is, without anything that may be missing; raises what the engine does."""
    config = engine.EdgeConfig(
        vectors={MEANING: engine.EdgeVectorParams(dimension, engine.Distance.Cosine)},
        sparse_vectors={WORDS: engine.EdgeSparseVectorParams(modifier=engine.Modifier.Idf)},
        optimizers=engine.EdgeOptimizersConfig(indexing_threshold=GRAPH_FROM_KIB),
        # A log of changes would be two files of 32 MB and every passage written twice, for what `flush` has not written
        # yet: that is not marked in SQL either, and is put in again. A shard that was made with a log keeps it.
        wal_enabled=None if (folder / "edge_config.json").exists() else False,
    )
    # Unlike `create` it also takes a folder whose making was broken off, and one that is empty.
    return engine.EdgeShard.load(str(folder), config)


def run_engine(work: Callable[[], T]) -> T:
    """What *work* gives, which calls the engine.

    Raises:
        EngineFailed: the engine raised an error, or broke (a panic of Rust, which no `except Exception` catches).
    """
    try:
        return work()
    except BaseException as exc:
        # The engine raises nothing narrower.
        if type(exc) is not Exception and type(exc).__name__ != "PanicException":
            raise
        raise EngineFailed("The passage index failed: see the log.", str(exc)) from exc


def make_stored(record: engine.Record) -> Stored:
    """A record that was asked for with its payload and vector."""
    return Stored(parse_passage(record.payload), parse_vector(record))


def parse_vector(record: engine.Record) -> FloatArray | None:
    """The vector of a record that was asked for with it, None while it waits for one."""
    named = cast(Mapping[str, list[float]], record.vector or {})
    return np.array(named[MEANING], np.float32) if MEANING in named else None


def is_damage(reason: str) -> bool:
    """Whether what the engine says when it opens a shard is about its files, and will not pass."""
    return not ("WouldBlock" in reason or "incompatible" in reason.lower()) and not any(
        code in reason for code in (*_NO_SPACE, *_NOT_THE_FILES)
    )


def _open(folder: Path, dimension: int, disk: DiskSpace | None) -> engine.EdgeShard:
    shard = load_shard(folder, dimension)
    kinds = dict.fromkeys(FILTERED, engine.PayloadSchemaType.Keyword)
    kinds |= dict.fromkeys(DAYS, engine.PayloadSchemaType.Datetime)
    for name, kind in kinds.items():  # on every open, for a start that was broken off before it came to this
        if name not in shard.info().payload_schema:
            shard.update(engine.UpdateOperation.create_field_index(name, kind))
    if disk is None or disk.measure_free_bytes() - find_size_bytes(folder) >= disk.reserve_bytes:
        shard.optimize()
    return shard


def _translate_error(folder: Path, reason: str) -> StoreUnavailable:
    if "WouldBlock" in reason:
        return StoreUnavailable(f"The passage index in {folder} is open in another process.")
    if "incompatible" in reason.lower():
        return StoreRefused(
            f"The passage index in {folder} was made for another embedding model: remove it and load again."
        )
    if any(code in reason for code in _NO_SPACE):
        return NotEnoughSpace(f"Not enough disk space: the passage index in {folder} cannot be opened.")
    detail = f"The passage index in {folder} cannot be opened: {reason}"
    return DamagedShard(detail, reason) if is_damage(reason) else StoreUnavailable(detail)

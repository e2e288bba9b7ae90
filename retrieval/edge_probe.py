"""Reads a whole shard in a process of its own: what is damaged may end the process that reads it (SIGBUS, SIGSEGV).

    python -m retrieval.edge_probe FOLDER DIMENSION

Ends with 0 where all can be read, and with DAMAGED and the reason on standard output where something cannot.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import qdrant_edge as engine

from retrieval.edge_shard import is_damage, load_shard, make_stored
from retrieval.ranking import DOCUMENT, FILTERED, MAX_TENANTS, MEANING, WORDS

DAMAGED = 3
_AT_ONCE = 500


def find_unreadable(folder: Path, dimension: int) -> str:
    """Why the shard in *folder* cannot be used, "" where it can."""
    try:
        shard = load_shard(folder, dimension)
    except BaseException as exc:  # a panic of the engine is no Exception
        return str(exc) if is_damage(str(exc)) else ""
    try:
        count = sum(_check(record) for record in _iter_records(shard))
        for name in FILTERED:
            limit = count + 1 if name == DOCUMENT else MAX_TENANTS
            shard.facet(engine.FacetRequest(name, limit=limit, exact=True))
        if count != shard.count(engine.CountRequest()):
            return "it counts more passages than it holds"
    except BaseException as exc:  # as above
        return f"{type(exc).__name__}: {exc}"
    return ""


def _iter_records(shard: engine.EdgeShard) -> Iterator[engine.Record]:
    offset = None
    while True:
        request = engine.ScrollRequest(offset, limit=_AT_ONCE, with_payload=True, with_vector=[MEANING, WORDS])
        records, offset = shard.scroll(request)
        yield from records
        if offset is None:
            return


def _check(record: engine.Record) -> int:
    vector = make_stored(record).vector
    # The engine keeps them at length 1; zeros and bytes from elsewhere are of another.
    if vector is not None and not abs(float(np.linalg.norm(vector)) - 1) < 0.01:
        raise ValueError("a vector is not of length 1")
    return 1


if __name__ == "__main__":
    found = find_unreadable(Path(sys.argv[1]), int(sys.argv[2]))
    print(found)
    sys.exit(DAMAGED if found else 0)

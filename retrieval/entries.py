"""What a reconciliation lists, read from what an engine keeps beside the vectors of a passage."""

from collections.abc import Mapping
from typing import Any

from retrieval.index import Entry
from retrieval.ranking import DOCUMENT, PASSAGE


def entry_of(payload: Mapping[str, Any] | None, *, has_vector: bool) -> Entry:
    """What a reconciliation lists of a passage."""
    known = payload or {}
    return Entry(str(known[PASSAGE]), str(known[DOCUMENT]), has_vector)

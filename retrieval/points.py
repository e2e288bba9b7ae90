"""Points of our collection on a Qdrant server: made of passages, and read."""

import numpy as np
from qdrant_client import AsyncQdrantClient, models

from retrieval.layout import Layout
from retrieval.lexical import Terms
from retrieval.queries import sparse
from retrieval.ranking import DOCUMENT, MEANING, PASSAGE, WORDS, payload_of, point_id
from utils.context import TenantContext
from utils.passages import Passage
from utils.ports import FloatArray

LISTED = 1000  # points of a reconciliation in one answer


def point_of(ctx: TenantContext, passage: Passage, terms: Terms) -> models.PointStruct:
    """A passage with its words, without its vector: replacing one takes the vector of the old text away."""
    vectors: dict[str, models.Vector] = {WORDS: sparse(terms)} if terms.indices else {}
    return models.PointStruct(
        id=str(point_id(ctx, passage.passage_id)), vector=vectors, payload=payload_of(ctx, passage)
    )


def dense_of(record: models.Record) -> FloatArray | None:
    """The vector of meaning of a point, None while it waits for one."""
    vector = record.vector.get(MEANING) if isinstance(record.vector, dict) else None
    return None if vector is None else np.array(vector, np.float32)


async def list_page(
    client: AsyncQdrantClient, condition: models.Filter, offset: models.ExtendedPointId | None, at: Layout
) -> tuple[list[models.Record], models.ExtendedPointId | None]:
    """The next points under *condition* with the ids of their passages and documents, and where the following begin."""
    return await client.scroll(
        at.own, scroll_filter=condition, limit=LISTED, offset=offset, with_payload=[PASSAGE, DOCUMENT]
    )

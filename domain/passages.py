"""A chunk of a document as the passage that is searched, shown and cited."""

import json

from domain.document_dates import find_date, find_period
from domain.models import Chunk, Document
from utils.passages import Passage


def make_passage(document: Document, chunk: Chunk) -> Passage:
    """The chunk as it is searched, shown and cited."""
    period = find_period(document)
    return Passage(
        passage_id=chunk.chunk_id,
        document_id=document.document_id,
        title=document.title,
        source=document.source,
        url=document.url,
        page=chunk.page,
        heading=chunk.heading,
        start=chunk.start,
        end=chunk.end,
        language=chunk.language,
        text=chunk.text,
        version=document.version,
        dataset_id=document.dataset_id or "",
        labels=_list_labels(document),
        dated=find_date(document)[0].isoformat(),
        valid_from=period.valid_from.isoformat() if period.valid_from else None,
        valid_until=period.valid_until.isoformat() if period.valid_until else None,
        precedence=period.precedence,
    )


def _list_labels(document: Document) -> tuple[str, ...]:
    """What a search can be limited to: its tags as `tag=…`, and what its metadata says in one word or number."""
    tags = [f"tag={tag}" for tag in document.tags]
    simple = [(key, value) for key, value in document.labels.items() if isinstance(value, str | int | float)]
    return (*tags, *(f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in simple))

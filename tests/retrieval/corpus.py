"""Passages, vectors and tenants for the retrieval tests."""

import uuid
from collections.abc import Sequence

import numpy as np

from auth.credentials import make_key_principal
from utils.passages import Hit, Passage
from utils.ports import FloatArray

DIMENSION = 4
ACME, GLOBEX = make_key_principal("acme", "key-a"), make_key_principal("globex", "key-g")


def passage(text: str, *, document_id: str = "handbook", language: str = "en", title: str = "") -> Passage:
    """A passage whose id is the same for the same text of the same document."""
    return Passage(
        passage_id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{document_id}#{text}")),
        document_id=document_id,
        title=title,
        source=f"{document_id}.md",
        url=None,
        page=None,
        heading="",
        start=0,
        end=len(text),
        language=language,
        text=text,
    )


def vector(*numbers: float) -> FloatArray:
    """A unit vector of `DIMENSION` numbers, the missing ones 0."""
    values = np.zeros(DIMENSION, np.float32)
    values[: len(numbers)] = numbers
    unit: FloatArray = values / np.linalg.norm(values)
    return unit


def texts(hits: Sequence[Hit]) -> list[str]:
    return [hit.passage.text for hit in hits]

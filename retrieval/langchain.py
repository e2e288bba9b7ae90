"""Passages in a collection that langchain-qdrant's `QdrantVectorStore` wrote; read, never written.

Payload: `page_content` and `metadata`, as in `langchain_qdrant/qdrant.py`. The metadata is whatever the institution's
loaders put there; the names looked for are those of LangChain's own loaders and splitters.
"""

import math
import re
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from qdrant_client import AsyncQdrantClient, models

from retrieval.lexical import Lexicon, Terms
from retrieval.qdrant import translate_errors
from retrieval.ranking import LONGEST_PASSAGE, Candidates
from retrieval.wire import Wire, write_vector
from utils.errors import StoreRefused
from utils.language import detect_language
from utils.passages import Passage
from utils.ports import FloatArray

CONTENT, METADATA = "page_content", "metadata"
_SAMPLE = 10
# Without a vector passages are found by single words, in no order: as many are read for the best to be chosen from.
_READ_BY_WORDS = 500
_CODE = re.compile(r"[a-z]{2}(?=$|[-_])")
Metadata = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ScoredDocument:
    """A passage of such a collection; `dense` is its cosine similarity, None where no vector was asked with."""

    passage: Passage
    dense: float | None


@dataclass(frozen=True, slots=True)
class LangchainCollection:
    """The collection *name*, whose dense vectors are called *vector_name*, empty for the unnamed one."""

    name: str
    vector_name: str

    async def find_near(self, wire: Wire, vector: FloatArray, *, limit: int) -> dict[str, ScoredDocument]:
        """The passages nearest to *vector* by point; the languages are not apart here, since no field tells them."""
        using = {"using": self.vector_name} if self.vector_name else {}
        query = {"query": write_vector(vector), "limit": limit, "with_payload": [CONTENT, METADATA]} | using
        answer = await wire.ask(self.name, "points/query", query)
        with translate_errors():
            return self._make_documents({each["id"]: (each["payload"], each["score"]) for each in answer["points"]})

    async def find_by_words(self, client: AsyncQdrantClient, words: Sequence[str]) -> dict[str, ScoredDocument]:
        """Passages that hold any of *words* by point, as written, in lower case or with a capital.

        Where the institution has no text index, older servers look for the letters just as they are.
        """
        forms = sorted({form for word in words for form in (word, word.lower(), word.capitalize())})
        if not forms:
            return {}
        conditions: list[models.Condition] = [
            models.FieldCondition(key=CONTENT, match=models.MatchText(text=form)) for form in forms
        ]
        records, _ = await client.scroll(
            self.name,
            scroll_filter=models.Filter(should=conditions),
            limit=_READ_BY_WORDS,
            with_payload=[CONTENT, METADATA],
        )
        return self._make_documents({record.id: (record.payload, None) for record in records})

    async def count(self, client: AsyncQdrantClient) -> int:
        """How many passages there are."""
        return (await client.count(self.name, exact=True)).count

    def _make_documents(
        self, points: Mapping[models.ExtendedPointId, tuple[Metadata | None, float | None]]
    ) -> dict[str, ScoredDocument]:
        return {
            _make_key(self.name, point): ScoredDocument(make_passage(payload, collection=self.name, point=point), dense)
            for point, (payload, dense) in points.items()
            if payload and str(payload.get(CONTENT) or "").strip()
        }


async def recognise(
    client: AsyncQdrantClient, name: str, vectors: models.VectorsConfig | None, *, dimension: int
) -> LangchainCollection:
    """The collection *name* as one that LangChain wrote, or that it has made and not yet written to.

    Raises:
        StoreRefused: it is something else, or its vectors cannot be compared with ours of *dimension* numbers.
    """
    sample, _ = await client.scroll(name, limit=_SAMPLE, with_payload=[CONTENT])
    if any(not isinstance((record.payload or {}).get(CONTENT), str) for record in sample):
        raise StoreRefused(
            f"The Qdrant collection {name} was written neither by this service nor by LangChain (its points have no "
            f"`{CONTENT}`): set QDRANT_COLLECTION_NAME to another name."
        )
    named = {"": vectors} if isinstance(vectors, models.VectorParams) else vectors or {}
    if not named:
        raise StoreRefused(
            f"The Qdrant collection {name} holds sparse vectors only, and cannot be searched by meaning: set "
            "QDRANT_COLLECTION_NAME to one with dense vectors, or to a new name."
        )
    fitting = [key for key, params in named.items() if params.size == dimension and not params.multivector_config]
    if not fitting:
        sizes = ", ".join(str(params.size) for params in named.values())
        raise StoreRefused(
            f"The Qdrant collection {name}, written with LangChain, holds vectors of {sizes} numbers, those of the "
            f"embedding model have {dimension}: set EMBEDDING_MODEL to the model it was written with, or "
            "QDRANT_COLLECTION_NAME to a new name."
        )
    if len(fitting) > 1 or named[fitting[0]].distance != models.Distance.COSINE:
        raise StoreRefused(
            f"The Qdrant collection {name}, written with LangChain, needs one dense vector a passage, compared by "
            "cosine: set QDRANT_COLLECTION_NAME to a new name and load the documents again."
        )
    return LangchainCollection(name, fitting[0])


def make_passage(payload: Metadata, *, collection: str, point: models.ExtendedPointId) -> Passage:
    """The passage in a payload that LangChain wrote; its ids are made from the collection's name and the point's id."""
    text, passage = str(payload[CONTENT])[:LONGEST_PASSAGE], payload.get(METADATA)
    metadata = passage if isinstance(passage, dict) else {}
    source = _read_text(metadata, "source", "file_path", "url", "link", "file_name", "filename") or collection
    url = _read_text(metadata, "url", "link") or source
    start = metadata.get("start_index")
    start = start if isinstance(start, int) and start >= 0 else 0
    return Passage(
        passage_id=_make_key(collection, point),
        document_id=str(uuid.uuid5(uuid.NAMESPACE_OID, f"{collection}\n\n{source}")),
        title=_read_text(metadata, "title", "file_name", "filename") or _read_file_name(source),
        source=source,
        url=url if url.startswith(("http://", "https://")) else None,
        page=_read_page(metadata),
        heading=_read_heading(metadata),
        start=start,
        end=start + len(text),
        language=_read_language(metadata, text),
        text=text,
    )


def _make_key(collection: str, point: models.ExtendedPointId) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{collection}\n{point}"))


def _read_text(metadata: Metadata, *names: str) -> str:
    """The first of these fields that has something in it."""
    values = (metadata.get(name) for name in names)
    return next((value.strip() for value in values if isinstance(value, str) and value.strip()), "")


def _read_file_name(source: str) -> str:
    path = unquote(urlsplit(source).path) if "://" in source else source.replace("\\", "/")
    return PurePosixPath(path).name or source


def _read_page(metadata: Metadata) -> int | None:
    """The page, from 1 on: `page_number` and `page_label` are counted so, `page` of the PDF loaders from 0."""
    for name, first in (("page_number", 1), ("page_label", 1), ("page", 0)):
        value = metadata.get(name)
        if isinstance(value, str) and value.isdecimal():
            value = int(value)
        if isinstance(value, int) and value >= first:
            return value + 1 - first
    return None


def _read_heading(metadata: Metadata) -> str:
    """Headings as the Markdown and HTML splitters give them, "Header 1" and so on, or a single field."""
    levels = [_read_text(metadata, f"Header {number}") for number in range(1, 7)]
    return " › ".join(level for level in levels if level) or _read_text(metadata, "heading", "section")


def _read_language(metadata: Metadata, text: str) -> str:
    code = _CODE.match(_read_text(metadata, "language", "lang").lower())
    return code.group() if code else _detect_language(text)


_detect_language = lru_cache(4096)(detect_language)


def join(
    own: Candidates[str],
    own_passages: Mapping[str, Passage],
    foreign: Mapping[str, ScoredDocument],
    question: str,
    lexicon: Lexicon,
) -> Candidates[str]:
    """All candidates for *question*, scored by words on one scale; those with neither score are left out.

    The foreign collection has no terms of ours in it, and the frequencies the server counts are of our own passages
    alone. So the BM25 scores of both are computed here, with the document frequencies of the candidates. R@1 over 300
    questions with none, half, and all of the passages in the foreign collection: squad_en .860, .863, .853; idk_id
    .957, .953, .953; xquad_es .967 each.
    """
    passages = dict(own_passages) | {point: result.passage for point, result in foreign.items()}
    terms = lexicon.make_question_terms(question)
    scores = score_bm25(terms, [lexicon.make_passage_terms(passage) for passage in passages.values()])
    dense = own.dense | {point: result.dense for point, result in foreign.items() if result.dense is not None}
    return Candidates(
        lexical={point: score for point, score in zip(passages, scores, strict=True) if score > 0},
        dense={point: score for point, score in dense.items() if point in passages},
        languages=own.languages | {point: result.passage.language for point, result in foreign.items()},
    )


def score_bm25(question_terms: Terms, passages: Sequence[Terms]) -> list[float]:
    """The BM25 score of each of *passages* with the document frequencies among them, as Qdrant's engine counts it.

    idf = ln(1 + (n - df + .5) / (df + .5))
    """
    indices = set(question_terms.indices)
    weights = [{i: value for i, value in zip(t.indices, t.values, strict=True) if i in indices} for t in passages]
    frequency = Counter(index for terms in weights for index in terms)
    idf = {index: math.log(1 + (len(passages) - df + 0.5) / (df + 0.5)) for index, df in frequency.items()}
    return [sum(value * idf[index] for index, value in terms.items()) for terms in weights]

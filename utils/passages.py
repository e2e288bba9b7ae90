"""Passages: the pieces of documents that are searched, shown to the model and cited."""

from dataclasses import dataclass

from utils.query_tables import QueryTable

TOOL_PREFIX = "tool:"
"""What the `document_id` of a tool's result begins with, before the name of the tool; no document's does."""


@dataclass(frozen=True, slots=True)
class Passage:
    """One chunk of a document with everything a citation needs.

    `start` and `end` are character offsets into the document's extracted text, so that `text` is what stands there.
    `page` counts from 1 and is None for formats without pages; `heading` is the path of headings, outermost first,
    joined with " › ", empty when there is none. `language` is an ISO 639-1 code. `source` is the path or address the
    document was loaded from, `url` an address a reader can open, if there is one. `version` is that of the document the
    passage was cut from; None for one that is not kept here. `dataset_id` is empty for documents of no dataset.
    `labels` are what else a search can be limited to, each as `key=value`. `dated`, `valid_from` and `valid_until` are
    days of the document such as `2026-12-31`, None where there is none, and of two documents that say different things
    the one of higher `precedence` wins. `seams` are where neighbours were joined for a reader: each is the place in
    `text` of a blank line for which the document may have other white space. `table`: what a query gave, of which
    `text` tells.
    """

    passage_id: str  # a UUID, the same for the same text at the same place of the same document version
    document_id: str
    title: str
    source: str
    url: str | None
    page: int | None
    heading: str
    start: int
    end: int
    language: str
    text: str
    version: int | None = None
    dataset_id: str = ""
    labels: tuple[str, ...] = ()
    dated: str | None = None
    valid_from: str | None = None
    valid_until: str | None = None
    precedence: float = 0
    seams: tuple[int, ...] = ()
    table: QueryTable | None = None

    @property
    def tool(self) -> str:
        """The name of the tool whose result it is, "" for a passage of a document."""
        return self.document_id.removeprefix(TOOL_PREFIX) if self.document_id.startswith(TOOL_PREFIX) else ""

    @property
    def last_heading(self) -> str:
        """The innermost of its headings, "" without one."""
        return self.heading.rpartition(" › ")[2]


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage found for a question, with the scores it was ranked by.

    `score` is the fused score that orders hits (higher is better, comparable within one search only); `dense` is the
    cosine similarity, None while the passage has no vector; `lexical` is the BM25 score, 0.0 without a common term.
    `dense_rank` and `lexical_rank` are the places, from 1 on, that it has among the candidates by each of them alone;
    None without one.
    """

    passage: Passage
    score: float
    dense: float | None
    lexical: float
    dense_rank: int | None = None
    lexical_rank: int | None = None

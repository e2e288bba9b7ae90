"""`POST /v1/search`: the passages for a question, without an answer; on request with how they were found."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated

from flask import Response
from flask_openapi3 import APIBlueprint, Tag
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from api.access import requires
from api.problem_schemas import Problem
from api.responses import respond
from api.schemas import NON_BLANK, WHOLE
from api.services import services
from auth.principal import Principal
from auth.scopes import Scope
from domain.dataset_roles import list_indexed_ids
from domain.in_thread import read
from retrieval.index import Filters
from retrieval.search import SearchOptions, SearchResult, SearchStage
from utils.passages import Hit
from utils.validation import LONGEST_MESSAGE, check_text

search_blueprint = APIBlueprint("search", __name__, abp_tags=[Tag(name="Search", description="Find passages.")])

MAX_HITS, MAX_VALUES = 50, 100
Value = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(check_text), NON_BLANK]
Values = Annotated[list[Value], Field(max_length=MAX_VALUES)]


class FiltersIn(BaseModel):
    """Only passages that have one of the values of each field given, and every label."""

    model_config = ConfigDict(strict=True, extra="forbid")

    dataset_ids: Values = []
    document_ids: Values = []
    languages: Values = Field(default=[], description="ISO 639-1 codes.", examples=[["en"]])
    labels: Values = Field(default=[], description="Metadata as key=value, tags as tag=value; all must hold.")

    def make_filters(self) -> Filters:
        """What the index is asked with."""
        return Filters(
            tuple(self.dataset_ids), tuple(self.document_ids), tuple(self.languages), labels=tuple(self.labels)
        )


class SearchIn(BaseModel):
    """What to look for."""

    model_config = ConfigDict(strict=True, extra="forbid")

    query: Annotated[str, AfterValidator(check_text), NON_BLANK] = Field(
        min_length=1, max_length=LONGEST_MESSAGE, examples=["How do I apply?"]
    )
    limit: Annotated[int, Field(ge=1, le=MAX_HITS), WHOLE] = 10
    filters: FiltersIn = FiltersIn()
    explain: bool = Field(False, description="With every stage's scores, ranks and times.")


class PassageOut(BaseModel):
    """A passage and its place in its document; `start` and `end` count characters of the document's text."""

    rank: int
    id: str
    passage_id: str = Field("", description="id, as it was called before.", deprecated=True)
    document_id: str
    title: str
    source: str
    url: str | None
    page: int | None
    heading: str | None
    start: int
    end: int
    language: str
    text: str
    score: float = Field(description="What the passages are ordered by, comparable within one search only.")
    similarity: float | None = Field(description="Cosine of question and passage; null while it waits for its vector.")
    words: float = Field(description="BM25; 0 without a common word.")


class PlaceOut(BaseModel):
    """Where a stage put a passage, and with which score."""

    passage_id: str
    rank: int
    score: float
    similarity_rank: int | None = Field(description="Its place by similarity alone among all candidates.")
    words_rank: int | None = Field(description="Its place by words alone among all candidates.")


class StageOut(BaseModel):
    """A stage of the search, with what it left, best first."""

    stage: str
    duration_ms: float
    passages: list[PlaceOut]


class SearchOut(BaseModel):
    """Passages, best first, maybe none; `answerable` is whether they seem to hold an answer."""

    passages: list[PassageOut]
    answerable: bool
    evidence: float = Field(description="What speaks for an answer being there; 1 is enough.")
    degraded: str | None = Field(description="What was missing when the ranking is worse than it could be.")
    stages: list[StageOut] | None = Field(None, description="With explain: what the search went through, in order.")


@search_blueprint.post(
    "/v1/search",
    operation_id="searchPassages",
    summary="Find passages",
    responses={200: SearchOut, **dict.fromkeys((400, 401, 413, 429, 503), Problem)},
)
@requires(Scope.SEARCH, repeats="none")
async def search(ctx: Principal, body: SearchIn) -> Response:
    """The best passages of the caller's documents. 400 names the field, 503: the index does not answer."""
    filters = body.filters.make_filters()
    if filters.dataset_ids:
        named = partial(list_indexed_ids, ctx=ctx, dataset_ids=filters.dataset_ids)
        filters = replace(filters, dataset_ids=await read(services().database, named))
    options = SearchOptions(filters)
    match = await services().retriever.search(ctx, body.query, limit=body.limit, options=options)
    return respond(describe_search(match, explain=body.explain))


def describe_search(result: SearchResult, *, explain: bool) -> SearchOut:
    """*result* as the API gives it, with its stages where they are to *explain* it."""
    stages = {"stages": _describe_stages(result.stages)} if explain else {}
    return SearchOut(
        passages=[_describe_passage(rank, hit) for rank, hit in enumerate(result.hits, 1)],
        answerable=result.verdict.answerable,
        evidence=round(result.verdict.evidence, 4),
        degraded=result.degraded,
        **stages,
    )


def _describe_passage(rank: int, hit: Hit) -> PassageOut:
    passage = hit.passage
    return PassageOut(
        rank=rank,
        id=passage.passage_id,
        passage_id=passage.passage_id,
        document_id=passage.document_id,
        title=passage.title,
        source=passage.source,
        url=passage.url,
        page=passage.page,
        heading=passage.heading or None,
        start=passage.start,
        end=passage.end,
        language=passage.language,
        text=passage.text,
        score=round(hit.score, 4),
        similarity=None if hit.dense is None else round(hit.dense, 4),
        words=round(hit.lexical, 4),
    )


def _describe_stages(stages: Sequence[SearchStage]) -> list[StageOut]:
    return [
        StageOut(
            stage=stage.name,
            duration_ms=round(stage.duration_s * 1000, 3),
            passages=[
                PlaceOut(
                    passage_id=hit.passage.passage_id,
                    rank=rank,
                    score=round(hit.score, 4),
                    similarity_rank=hit.dense_rank,
                    words_rank=hit.lexical_rank,
                )
                for rank, hit in enumerate(stage.hits, 1)
            ],
        )
        for stage in stages
    ]

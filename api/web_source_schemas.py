"""What web sources look like on the wire, in and out."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.paging import PageOut
from api.problem_schemas import ErrorOut
from api.schemas import WHOLE

HOUR_S, YEAR_S = 3_600, 31_536_000
DEEPEST = 20
_Depth = Annotated[int, Field(ge=0, le=DEEPEST), WHOLE]
_Pages = Annotated[int, Field(ge=1, le=20_000), WHOLE]
_Every = Annotated[int, Field(ge=HOUR_S, le=YEAR_S), WHOLE]


class WebSourceIn(BaseModel):
    """A page or a site to be read, now and every so often."""

    model_config = ConfigDict(strict=True, extra="forbid")

    url: str = Field(min_length=1, max_length=2_000, examples=["https://www.example.org/handbook/"])
    kind: Literal["page", "site"] = "site"
    max_depth: _Depth = Field(5, description="Links away from the first page.")
    max_pages: _Pages | None = Field(
        None, description="Documents at most. Unset: 200, or CRAWL_MAX_PAGES if that is less."
    )
    every_s: _Every | None = Field(None, description="Seconds until it is read again. Unset: only when asked for.")


class WebSourceChange(BaseModel):
    """What is left out stays as it is."""

    model_config = ConfigDict(strict=True, extra="forbid")

    # Null is none of these: there is nothing that they could be cleared to.
    kind: Literal["page", "site"] = Field(default_factory=lambda: "site")
    max_depth: _Depth = Field(default_factory=int)
    max_pages: _Pages | None = Field(None, description="null: 200, or CRAWL_MAX_PAGES if that is less.")
    every_s: _Every | None = Field(None, description="null: only when asked for.")


class WebSourcePath(BaseModel):
    """Which web source."""

    web_source_id: str = Field(min_length=1, max_length=36)


class PageProblem(BaseModel):
    """An address that is no document, and why."""

    url: str
    became: str = Field(description="failed, gone or skipped")
    reason: str


class WebSourceOut(BaseModel):
    """A web source, and how its last crawl is or came out."""

    id: str
    web_source_id: str = Field(default="", description="id, as it was called before.", deprecated=True)
    job_id: str | None = Field(default=None, description="Its newest crawl, at `/v1/tasks/{task_id}/status`.")
    url: str
    kind: Literal["page", "site"]
    max_depth: int
    max_pages: int
    every_s: int | None
    next_at: datetime | None = Field(description="When it is read next.")
    status: Literal["pending", "processing", "completed", "failed", "cancelled"]
    state: Literal["waiting", "running", "completed", "failed", "cancelled"] = Field(
        default="waiting", description="status in other words.", deprecated=True
    )
    counts: dict[str, int] = Field(
        description="Addresses by what became of them: added, changed, unchanged, gone, failed, skipped, trapped."
    )
    waiting_count: int = Field(description="Addresses still to be fetched.")
    waiting: int = Field(default=0, description="waiting_count, as it was called before.", deprecated=True)
    page_problems: list[PageProblem] = Field(description="At most 50.")
    problems: list[PageProblem] = Field(
        default=[], description="page_problems, as it was called before.", deprecated=True
    )
    error: ErrorOut | None = Field(description="Why nothing could be read.")
    started_at: datetime | None
    finished_at: datetime | None
    created_at: datetime


class AcceptedSourceOut(WebSourceOut):
    """A web source that is going to be read, or not any further."""

    status_url: str


class WebSourcesOut(PageOut):
    """A part of them, by address."""

    web_sources: list[WebSourceOut]

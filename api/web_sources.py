"""`/v1/tenant/web-sources`: pages and sites that are read from the web, once or on a schedule."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from flask import Response, url_for
from flask_openapi3 import APIBlueprint, Tag
from sqlalchemy.orm import Session

from api.access import checks_if_match, requires
from api.conditional import check_unchanged, make_etag
from api.description_parts import RESPONSE_HEADERS
from api.paging import PageQuery, make_page_members, read_part_query
from api.problem_schemas import Problem
from api.responses import respond
from api.services import services
from api.web_source_schemas import (
    AcceptedSourceOut,
    WebSourceChange,
    WebSourceIn,
    WebSourceOut,
    WebSourcePath,
    WebSourcesOut,
)
from auth.principal import Principal
from auth.scopes import Scope
from bootstrap.crawl_scheduler import crawl_reach
from domain import crawls, web_sources
from domain.in_thread import read, write
from domain.models import Job, JobStatus, WebSource
from domain.web_sources import CrawlPlan
from ingestion.crawl.addresses import UnusableAddress, canonicalize
from utils.reach import AddressRefused
from utils.validation import refuse_field

DEFAULT_PAGES = 200
_STATES = {JobStatus.PENDING: "waiting", JobStatus.PROCESSING: "running"}  # the old words

web_sources_blueprint = APIBlueprint(
    "web_sources",
    __name__,
    url_prefix="/v1/tenant/web-sources",
    abp_tags=[Tag(name="Web sources", description="Pages and sites that are read from the web.")],
)
_REFUSALS: dict[Any, Any] = {404: Problem}


@web_sources_blueprint.post(
    "",
    operation_id="createWebSource",
    summary="Add a web source",
    responses={201: AcceptedSourceOut, 409: Problem},
    openapi_extensions={RESPONSE_HEADERS: ["ETag"]},
)
@requires(Scope.WEB_SOURCES_WRITE)
async def create(ctx: Principal, body: WebSourceIn) -> Response:
    """Read a page or a site, beginning at once; `status_url` is of that crawl. 409 if there is one at this address."""
    url = _check_url(body.url)
    plan = CrawlPlan(body.kind, body.max_depth, _limit_pages(body.max_pages), body.every_s)
    view, etag = await _write(ctx, lambda session: web_sources.create_web_source(session, ctx, url, plan))
    accepted = _add_status_url(view, url_for("tasks.show", task_id=view.job_id))
    return respond(accepted, 201, etag=etag, location=url_for("web_sources.show", web_source_id=view.id))


@web_sources_blueprint.get(
    "", operation_id="listWebSources", summary="List web sources", responses={200: WebSourcesOut}
)
@requires(Scope.WEB_SOURCES_READ)
async def list_all(ctx: Principal, query: PageQuery) -> Response:
    """A part of them, by address."""
    part = read_part_query(query, str)

    def work(session: Session) -> WebSourcesOut:
        found = web_sources.list_web_sources(session, ctx, part)
        found_crawls = crawls.find_crawls(session, ctx, found.rows)
        rows = [_describe(session, ctx, source, found_crawls.get(source.web_source_id)) for source in found.rows]
        return WebSourcesOut(web_sources=rows, **make_page_members(found, part))

    return respond(await read(services().database, work))


@web_sources_blueprint.get(
    "/<web_source_id>",
    operation_id="getWebSource",
    summary="How a web source is",
    responses={200: WebSourceOut, **_REFUSALS},
    openapi_extensions={RESPONSE_HEADERS: ["ETag"]},
)
@requires(Scope.WEB_SOURCES_READ)
async def show(ctx: Principal, path: WebSourcePath) -> Response:
    """With the progress of a crawl that runs."""

    def work(session: Session) -> tuple[WebSourceOut, str]:
        source = web_sources.get_web_source(session, ctx, path.web_source_id)
        return _look_up(session, ctx, source), _compute_etag(source)

    view, etag = await read(services().database, work)
    return respond(view, etag=etag)


@web_sources_blueprint.patch(
    "/<web_source_id>",
    operation_id="updateWebSource",
    summary="Change a web source",
    responses={200: WebSourceOut, **_REFUSALS},
    openapi_extensions={RESPONSE_HEADERS: ["ETag"]},
)
@requires(Scope.WEB_SOURCES_WRITE)
@checks_if_match
async def change(ctx: Principal, path: WebSourcePath, body: WebSourceChange) -> Response:
    """Its limits count from the next crawl on."""

    def work(session: Session) -> WebSource:
        source = _check_unchanged(session, ctx, path.web_source_id)
        changes = body.model_dump(include=body.model_fields_set)
        if "max_pages" in changes:
            changes["max_pages"] = _limit_pages(body.max_pages)
        plan = CrawlPlan(source.kind, source.max_depth, source.max_pages, source.every_s)
        return web_sources.change_web_source(session, ctx, path.web_source_id, replace(plan, **changes))

    view, etag = await _write(ctx, work)
    return respond(view, etag=etag)


@web_sources_blueprint.delete(
    "/<web_source_id>",
    operation_id="deleteWebSource",
    summary="Remove a web source",
    responses={204: None, **_REFUSALS},
)
@requires(Scope.WEB_SOURCES_WRITE)
@checks_if_match
async def remove(ctx: Principal, path: WebSourcePath) -> Response:
    """With its documents, but those that another web source has too. A crawl that runs ends."""

    def work() -> None:
        with services().database.open_write_session() as session:
            _check_unchanged(session, ctx, path.web_source_id)
            web_sources.remove_web_source(session, ctx, path.web_source_id)
        services().document_files.delete_expired(ctx)

    await asyncio.to_thread(work)
    return Response(status=204)


@web_sources_blueprint.post(
    "/<web_source_id>/crawl",
    operation_id="crawlWebSource",
    summary="Crawl a web source again",
    responses={202: AcceptedSourceOut, **_REFUSALS},
    openapi_extensions={RESPONSE_HEADERS: ["ETag"]},
)
@requires(Scope.WEB_SOURCES_WRITE)
async def crawl(ctx: Principal, path: WebSourcePath) -> Response:
    """Crawl it as soon as there is room; a crawl that is under way goes on."""
    return await _accept(ctx, lambda session: crawls.request_crawl(session, ctx, path.web_source_id))


@web_sources_blueprint.post(
    "/<web_source_id>/cancel",
    operation_id="cancelCrawl",
    summary="Stop reading it",
    responses={202: AcceptedSourceOut, **_REFUSALS},
    openapi_extensions={RESPONSE_HEADERS: ["ETag"]},
)
@requires(Scope.WEB_SOURCES_WRITE)
async def cancel(ctx: Principal, path: WebSourcePath) -> Response:
    """What was read stays; the schedule goes on."""
    return await _accept(ctx, lambda session: crawls.cancel_crawl(session, ctx, path.web_source_id))


async def _accept(ctx: Principal, work: Callable[[Session], WebSource]) -> Response:
    """202: what *work* asks for will be done."""
    view, etag = await _write(ctx, work)
    status_url = url_for("web_sources.show", web_source_id=view.id)
    return respond(_add_status_url(view, status_url), 202, etag=etag, location=status_url)


def _add_status_url(view: WebSourceOut, status_url: str) -> AcceptedSourceOut:
    return AcceptedSourceOut.model_validate({**view.model_dump(), "status_url": status_url})


def _check_url(address: str) -> str:
    """The canonical address, if it may be crawled as far as can be told without asking for its name."""
    reach = crawl_reach(services().settings)
    try:
        url = canonicalize(address)
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        reach.check_port(port)
        if _is_literal(parts.hostname or ""):
            reach.check(parts.hostname or "", port)
    except (UnusableAddress, AddressRefused) as exc:
        raise refuse_field(str(exc), "url") from exc
    return url


def _is_literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _limit_pages(pages: int | None) -> int:
    most = services().settings.crawl_max_pages
    if pages is None:
        return min(DEFAULT_PAGES, most)
    if pages > most:
        raise refuse_field(f"At most {most} pages are read here.", "max_pages")
    return pages


async def _write(ctx: Principal, work: Callable[[Session], WebSource]) -> tuple[WebSourceOut, str]:
    """What *work* changed, as it is shown, and its tag."""

    def in_session(session: Session) -> tuple[WebSourceOut, str]:
        source = work(session)
        return _look_up(session, ctx, source), _compute_etag(source)

    return await write(services().database, in_session)


def _check_unchanged(session: Session, ctx: Principal, web_source_id: str) -> WebSource:
    """The web source, locked, if `If-Match` lets it be changed."""
    source = crawls.lock_web_source(session, ctx, web_source_id)
    check_unchanged(_compute_etag(source), _look_up(session, ctx, source).model_dump())
    return source


def _compute_etag(source: WebSource) -> str:
    return make_etag({name: getattr(source, name) for name in ("kind", "max_depth", "max_pages", "every_s")})


def _look_up(session: Session, ctx: Principal, source: WebSource) -> WebSourceOut:
    crawl = crawls.find_crawls(session, ctx, [source]).get(source.web_source_id)
    return _describe(session, ctx, source, crawl)


def _describe(session: Session, ctx: Principal, source: WebSource, crawl: Job | None) -> WebSourceOut:
    same = ("url", "kind", "max_depth", "max_pages", "every_s", "counts", "started_at", "finished_at")
    status, error = crawls.derive_status(source, crawl), crawls.derive_error(source, crawl)
    running = status == JobStatus.PROCESSING
    waiting = web_sources.count_waiting(session, ctx, source.web_source_id) if running else 0
    is_queued = crawl is not None and status == JobStatus.PENDING
    return WebSourceOut.model_validate(
        {
            **{name: getattr(source, name) for name in (*same, "created_at")},
            "id": source.web_source_id,
            "web_source_id": source.web_source_id,
            "job_id": crawl.job_id if crawl else None,
            "status": status,
            "state": _STATES.get(status, status),
            "next_at": crawl.not_before if crawl and is_queued else source.next_at,
            "page_problems": source.problems,
            "problems": source.problems,
            "error": {"detail": error} if error else None,
            "waiting_count": waiting,
            "waiting": waiting,
        }
    )

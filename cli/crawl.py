"""`flask crawl`: a page or a site read here and now, and again by the service if it is to be."""

import json
import os
import socket
import sys
from typing import Any

import click
from flask.cli import with_appcontext

from auth.principal import Principal
from bootstrap.crawl_scheduler import crawl_rules
from bootstrap.ingesting import make_reading_policy
from bootstrap.stores import open_originals
from cli.operator import find_operator, format_count, get_settings, json_option, open_records, tenant_option
from config import Settings
from domain import crawls, web_sources
from domain.db import Database
from domain.document_files import DocumentFiles
from domain.models import CrawlState, Job, JobStatus, WebSource
from domain.web_sources import CrawlPlan
from ingestion.crawl.addresses import UnusableAddress, canonicalize
from ingestion.crawl.crawl import ClaimedCrawl
from ingestion.crawl.crawler import Crawler
from ingestion.crawl.site import Politeness
from utils.errors import BadInput
from utils.printable import make_printable
from utils.sandbox.sandbox import Sandbox

DEFAULT_PAGES = 200
_FIELDS = ("web_source_id", "url", "kind", "max_depth", "max_pages", "every_s", "counts", "problems")
_STATES = {JobStatus.PENDING: CrawlState.WAITING, JobStatus.PROCESSING: CrawlState.RUNNING}  # the old words
_COUNTED = ("added", "changed", "unchanged", "gone", "failed", "skipped", "trapped")


@click.command("crawl")
@click.argument("url", required=False)
@tenant_option(help="Whose documents these are.")
@click.option("--page", is_flag=True, help="This page alone, not its site.")
@click.option(
    "--depth", type=click.IntRange(0, 20), default=5, show_default=True, help="Links away from the first page."
)
@click.option("--pages", type=click.IntRange(1, 20_000), help="Documents at most.  [default: 200]")
@click.option("--every", type=click.FloatRange(1, 8760), help="Hours until the service reads it again.")
@click.option("--remove", is_flag=True, help="Forget it, and its documents.")
@json_option
@with_appcontext
def crawl(
    url: str | None,
    tenant: str,
    page: bool,
    depth: int,
    pages: int | None,
    every: float | None,
    remove: bool,
    as_json: bool,
) -> None:
    """Read the site of URL, or list what is read from the web. After Ctrl-C the service goes on with it."""
    most = get_settings().crawl_max_pages
    every_s = None if every is None else int(every * 3600)
    plan = CrawlPlan("page" if page else "site", depth, min(pages or DEFAULT_PAGES, most), every_s)
    with open_records(to_look=url is None) as database:
        ctx, document_files = find_operator(database, tenant), open_originals(get_settings(), database)
        if url is None:
            _list(database, ctx, as_json=as_json)
        elif remove:
            _remove(database, ctx, document_files, _canonicalize(url))
        else:
            source = _crawl(database, ctx, document_files, get_settings(), _canonicalize(url), plan)
            _print_outcome(database, ctx, source, as_json=as_json)


def _canonicalize(url: str) -> str:
    try:
        return canonicalize(url)
    except UnusableAddress as exc:
        raise BadInput(f"{url}: {exc}") from exc


def _crawl(
    database: Database, ctx: Principal, document_files: DocumentFiles, settings: Settings, url: str, plan: CrawlPlan
) -> WebSource | None:
    worker = f"command:{socket.gethostname()[:30]}:{os.getpid()}"
    with Sandbox(required=settings.sandbox_required, prepares=True) as sandbox:
        rules = crawl_rules(settings, make_reading_policy(settings, sandbox))
        with rules.policy.open_parser() as parser:
            crawler = Crawler(
                database, rules, parser, worker=worker, politeness=Politeness(), document_files=document_files
            )
            return crawler.crawl(_claim(database, ctx, crawler, url, plan))


def _claim(database: Database, ctx: Principal, crawler: Crawler, url: str, plan: CrawlPlan) -> ClaimedCrawl:
    """The web source, made or changed, and claimed in the same moment: a running service would begin it otherwise."""
    with database.open_write_session() as session:
        former = web_sources.find_web_source(session, ctx, url)
        if former is None:
            source = web_sources.create_web_source(session, ctx, url, plan)
        else:
            source = web_sources.change_web_source(session, ctx, former.web_source_id, plan)
        return crawler.claim_in(session, ctx, source.web_source_id)


def _list(database: Database, ctx: Principal, *, as_json: bool) -> None:
    with database.open_read_session() as session:
        sources = web_sources.list_web_sources(session, ctx).rows
        found = crawls.find_crawls(session, ctx, sources)
    rows = [_describe(source, found.get(source.web_source_id)) for source in sources]
    if as_json:
        click.echo(json.dumps(rows))
        return
    if not sources:
        click.echo("No web sources.")
    for row in rows:
        again = f"every {row['every_s'] / 3600:g} h" if row["every_s"] else "once"
        error = f"  {row['error']}" if row["error"] else ""
        line = f"{row['state']:<10} {again:<12} {row['url']}  {_count_outcomes(row['counts'])}{error}"
        click.echo(make_printable(line))


def _remove(database: Database, ctx: Principal, document_files: DocumentFiles, url: str) -> None:
    with database.open_write_session() as session:
        source = web_sources.find_web_source(session, ctx, url)
        if source is None:
            raise BadInput(f"There is no web source at {url}.")
        removed = web_sources.remove_web_source(session, ctx, source.web_source_id)
    document_files.delete_expired(ctx)
    click.echo(f"{format_count(removed, 'document')} removed")


def _print_outcome(database: Database, ctx: Principal, source: WebSource | None, *, as_json: bool) -> None:
    if source is None:
        raise click.ClickException("It was removed while it was read.")
    with database.open_read_session() as session:
        row = _describe(source, crawls.find_crawls(session, ctx, [source]).get(source.web_source_id))
    if as_json:
        click.echo(json.dumps(row))
    else:
        for problem in source.problems:
            line = f"{problem['became'].capitalize()}: {problem['url']}: {problem['reason']}"
            click.echo(make_printable(line))
        click.echo(_count_outcomes(source.counts))
    if row["state"] != CrawlState.COMPLETED:
        click.echo(make_printable(row["error"] or f"It is {row['state']}."), err=True)
        sys.exit(1)


def _count_outcomes(counts: dict[str, int]) -> str:
    return ", ".join(f"{counts[name]} {name}" for name in _COUNTED if counts.get(name))


def _describe(source: WebSource, crawl: Job | None) -> dict[str, Any]:
    status = crawls.derive_status(source, crawl)
    return {
        **{name: getattr(source, name) for name in _FIELDS},
        "state": _STATES.get(status) or CrawlState(status.value),
        "error": crawls.derive_error(source, crawl),
    }

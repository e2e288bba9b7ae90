"""The operator's commands, of which `flask load`, `flask documents` and `flask log-id` are here."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import click
from flask import Flask
from flask.cli import with_appcontext
from tqdm import tqdm

from auth.principal import Principal
from bootstrap.data_folder import use_installations_log_key
from bootstrap.ingesting import make_reading_policy
from bootstrap.stores import open_originals
from cli.bots import bot
from cli.conflicts import conflicts
from cli.crawl import crawl
from cli.data_sources import data
from cli.evaluate import evaluate
from cli.indexes import index
from cli.jobs import datasets, jobs
from cli.keys import api_key
from cli.links import links
from cli.mcp import mcp
from cli.migrate_data import migrate_data
from cli.models import model
from cli.operator import (
    announce_stores,
    find_operator,
    get_settings,
    json_option,
    open_records,
    read_as_operator,
    tenant_option,
)
from cli.ratings import ratings
from cli.sample_data import populate_sample_db
from cli.state import state
from cli.tenants import tenant
from domain.db import Database
from domain.document_dates import find_date, find_period
from domain.documents import list_documents
from domain.indexing import count_chunks_without_vectors
from domain.models import Document
from ingestion.pipeline import LoadSummary, Progress, load_paths
from utils.log_ids import hash_id
from utils.printable import make_printable
from utils.sandbox.sandbox import Sandbox
from utils.validity import today

STALLED_S = 60.0


def register_commands(app: Flask) -> None:
    """Add the commands to the app's `flask` command line."""
    documents_and_jobs = (load, documents, bot, model, conflicts, datasets, links, jobs, crawl, mcp)
    others = (data, populate_sample_db, api_key, evaluate, ratings, migrate_data, state, tenant, index, log_id)
    for command in (*documents_and_jobs, *others):
        app.cli.add_command(command)


@click.command("log-id")
@click.argument("ids", nargs=-1, required=True)
@with_appcontext
def log_id(ids: tuple[str, ...]) -> None:
    """Print what stands for each of IDS in logs and traces: of conversations, runs, visitors, documents."""
    announce_stores()
    use_installations_log_key(get_settings())
    for each in ids:
        click.echo(hash_id(each))


@click.command("load")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@tenant_option(help="Whose documents these are.")
@click.option("--prune", is_flag=True, help="Forget documents below the given folders whose file is gone.")
@click.option("--wait", is_flag=True, help="Return only when the running service has computed all vectors.")
@json_option
@with_appcontext
def load(paths: tuple[Path, ...], tenant: str, prune: bool, wait: bool, as_json: bool) -> None:
    """Load the documents in PATHS, files or folders; unchanged ones are passed over."""
    with open_records() as database:
        ctx = find_operator(database, tenant)
        with _show_progress() as progress, Sandbox(required=get_settings().sandbox_required, prepares=True) as sandbox:
            summary = load_paths(
                database,
                ctx,
                paths,
                policy=make_reading_policy(get_settings(), sandbox),
                prune=prune,
                data_dir=get_settings().data_dir,
                progress=progress,
                document_files=open_originals(get_settings(), database),
            )
        if wait:
            _wait_for_vectors(database, ctx)
        waiting = _count_waiting(database, ctx)
    click.echo(json.dumps(asdict(summary) | {"waiting": waiting}) if as_json else _format_summary(summary, waiting))
    if summary.failed:
        sys.exit(1)


@click.command("documents")
@tenant_option(help="Whose documents.")
@json_option
@with_appcontext
def documents(tenant: str, as_json: bool) -> None:
    """List the documents: id, state, chunks, language, date, source, when it holds, and what went wrong."""
    with read_as_operator(tenant) as (session, ctx):
        rows = [
            {
                "document_id": document.document_id,
                "state": document.state,
                "chunks": document.chunk_count,
                "language": document.language,
                "source": document.source,
                "title": document.title,
                **_describe_dates(document),
                "error": document.error,
            }
            for document in list_documents(session, ctx)
        ]
    if as_json:
        click.echo(json.dumps(rows))
        return
    if not rows:
        click.echo("No documents.")
    for row in rows:
        error = f"  {row['error']}" if row["error"] else ""
        sizes = f"{row['chunks']:>5}  {row['language']:<2}  {row['date']}"
        holds = "" if row["validity"] == "valid" else f"  {str(row['validity']).replace('_', ' ')}"
        click.echo(make_printable(f"{row['document_id']}  {row['state']:<10}  {sizes}  {row['source']}{holds}{error}"))


def _describe_dates(document: Document) -> dict[str, object]:
    period, (day, _) = find_period(document), find_date(document)
    return {
        "date": day.isoformat(),
        "valid_from": period.valid_from.isoformat() if period.valid_from else None,
        "valid_until": period.valid_until.isoformat() if period.valid_until else None,
        "validity": period.validity(today()),
        "precedence": period.precedence,
    }


@contextmanager
def _show_progress() -> Iterator[Progress]:
    """A bar on a terminal, nothing elsewhere."""
    with tqdm(unit="file", leave=False, disable=not sys.stderr.isatty()) as bar:

        def show(done: int, total: int, name: str) -> None:
            bar.total, bar.n = total, done
            bar.set_postfix_str(make_printable(name[-40:]))

        yield show


def _count_waiting(database: Database, ctx: Principal) -> int:
    with database.open_read_session() as session:
        return count_chunks_without_vectors(session, ctx)


def _wait_for_vectors(database: Database, ctx: Principal) -> None:
    fewest, since = _count_waiting(database, ctx), time.monotonic()
    while fewest:
        time.sleep(0.5)
        waiting = _count_waiting(database, ctx)
        if waiting < fewest:
            fewest, since = waiting, time.monotonic()
        elif time.monotonic() - since > STALLED_S:
            raise click.ClickException(f"{waiting} passages still wait for their vectors: is the service running?")


def _format_summary(summary: LoadSummary, waiting: int) -> str:
    lines = [f"Failed: {name}: {reason}" for name, reason in summary.failed]
    lines += [f"Read in part: {name}: {reason}" for name, reason in summary.unread]
    lines += [f"Skipped: {name}: {reason}" for name, reason in summary.skipped]
    lines = list(map(make_printable, lines))
    if summary.not_pruned:
        lines.append(make_printable(summary.not_pruned))
    if waiting:
        lines.append(
            f"{waiting} passages wait for their vectors: the running service computes them, or the next start. "
            "They are found by their words meanwhile."
        )
    lines.append(
        f"{summary.added} added, {summary.changed} changed, {summary.unchanged} unchanged, {summary.removed} removed, "
        f"{len(summary.failed)} failed, {len(summary.skipped)} skipped; "
        f"{summary.chunks} passages in {summary.seconds:.1f} s"
    )
    return "\n".join(lines)

"""The operator's commands about uploaded documents: `flask datasets` and `flask jobs`."""

import json
from typing import Any

import click
from flask.cli import AppGroup

from bootstrap.ingesting import open_library
from cli.operator import (
    find_operator,
    get_settings,
    json_option,
    open_records,
    read_as_operator,
    tenant_option,
    write_as_operator,
)
from domain import datasets as all_datasets
from domain import job_requests
from domain.models import JobStatus
from domain.paging import Part
from domain.quotas import UNLIMITED
from domain.tasks import Task, list_tasks
from utils.printable import make_printable

_tenant = tenant_option(help="Whose.")
_MOST = 10_000
_STATUSES = [status.value for status in JobStatus]


@click.group("datasets", cls=AppGroup)
def datasets() -> None:
    """Collections of uploaded documents."""


@datasets.command("list")
@_tenant
@json_option
def list_datasets(tenant: str, as_json: bool) -> None:
    """List them with how many documents each holds."""
    with read_as_operator(tenant) as (session, ctx):
        found = all_datasets.list_datasets(session, ctx, Part(_MOST)).rows
        counts = all_datasets.count_documents(session, ctx, [dataset.dataset_id for dataset in found])
    rows = [{"id": one.dataset_id, "name": one.name, "documents": counts.get(one.dataset_id, 0)} for one in found]
    _print(rows, as_json, lambda row: f"{row['id']}  {row['documents']:>6}  {row['name']}", none="No datasets.")


@datasets.command("create")
@click.argument("name")
@_tenant
def create_dataset(name: str, tenant: str) -> None:
    """Make an empty one and print its id."""
    with write_as_operator(tenant) as (session, ctx):
        click.echo(all_datasets.create_dataset(session, ctx, name).dataset_id)


@datasets.command("delete")
@click.argument("dataset_id")
@_tenant
@click.confirmation_option(prompt="Its documents go with it. Go on?")
def delete_dataset(dataset_id: str, tenant: str) -> None:
    """Delete one with its documents; the running service, or the next start, takes them out of the index."""
    with open_records() as database:
        open_library(get_settings(), database).remove_dataset(find_operator(database, tenant), dataset_id)


@click.group("jobs", cls=AppGroup)
def jobs() -> None:
    """Work in the background: uploaded documents on their way into the index, and crawls."""


@jobs.command("list")
@click.option("--status", type=click.Choice(_STATUSES), multiple=True, help="Only these; may be repeated.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, _MOST))
@_tenant
@json_option
def list_all(status: tuple[str, ...], limit: int, tenant: str, as_json: bool) -> None:
    """List documents and crawls by what changed last: status, stage, share done, tries, and what went wrong."""
    with read_as_operator(tenant) as (session, ctx):
        tasks = list_tasks(session, ctx, statuses=status or [*JobStatus], limit=limit)
    _print([_describe(task) for task in tasks], as_json, _format, none="No jobs.")


@jobs.command("retry")
@click.argument("document_ids", nargs=-1)
@click.option("--failed", is_flag=True, help="All that failed, instead.")
@_tenant
def retry(document_ids: tuple[str, ...], failed: bool, tenant: str) -> None:
    """Read documents again from their files."""
    if bool(document_ids) == failed:
        raise click.UsageError("Name documents, or give --failed.")
    with write_as_operator(tenant) as (session, ctx):
        found = list_tasks(session, ctx, statuses=[JobStatus.FAILED], limit=_MOST) if failed else []
        chosen = sorted(document_ids or [task.job.document_id for task in found if task.job.document_id])
        for document_id in chosen:
            job_requests.begin_again(session, ctx, document_id, UNLIMITED)
    click.echo(f"{len(chosen)} begin again.")


@jobs.command("cancel")
@click.argument("document_ids", nargs=-1, required=True)
@_tenant
def cancel(document_ids: tuple[str, ...], tenant: str) -> None:
    """Read documents no further; what can be found of them already stays."""
    with write_as_operator(tenant) as (session, ctx):
        for document_id in sorted(document_ids):
            job_requests.cancel(session, ctx, document_id)


def _describe(task: Task) -> dict[str, Any]:
    job = task.job
    return {
        "job_id": job.job_id,
        "kind": job.kind,
        "document_id": job.document_id,
        "web_source_id": job.web_source_id,
        "status": job.status,
        "stage": task.stage,
        "progress": round(task.progress, 3),
        "attempt_count": job.attempts,
        "share_done": round(task.progress, 3),  # the old names of these two
        "attempts": job.attempts,
        "worker": job.worker,
        "source": task.source,
        "error": job.error,
        "advice": job.advice,
    }


def _format(row: dict[str, Any]) -> str:
    subject = row["document_id"] or row["web_source_id"] or row["job_id"]
    stage = f"{row['stage']} {row['progress']:.0%}" if row["stage"] else ""
    error = f"  {row['error']} {row['advice'] or ''}".rstrip() if row["error"] else ""
    return f"{subject}  {row['status']:<10}  {stage:<16}  {row['attempt_count']}  {row['source']}{error}"


def _print(rows: list[dict[str, Any]], as_json: bool, line: Any, *, none: str) -> None:
    click.echo(json.dumps(rows) if as_json else "\n".join(make_printable(line(row)) for row in rows) or none)

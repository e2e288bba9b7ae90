"""`flask migrate-data`: the whole installation to the production stores, or back."""

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

import click
from flask.cli import with_appcontext
from tqdm import tqdm

from bootstrap.relocation.move import relocate
from bootstrap.relocation.report import ROLES, Direction, Progress, Report, StoreComparison, format_counts
from cli.operator import announce_stores, get_settings, json_option
from utils.errors import ProblemError
from utils.processes import StartError

_DIFFERENCES_SHOWN = 10


@click.command("migrate-data")
@click.option(
    "--to",
    "direction",
    type=click.Choice([direction.value for direction in Direction]),
    required=True,
    help="production: from DATA_DIR to the stores that are configured; embedded: the other way.",
)
@click.option("--only", multiple=True, type=click.Choice(ROLES), help="Move this alone; may be given several times.")
@click.option("--dry-run", is_flag=True, help="Say what would be moved, and change nothing.")
@json_option
@with_appcontext
def migrate_data(direction: str, only: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Copy records, passages and conversations between the embedded stores and the configured ones, and compare them.

    Stop the service first. Nothing in a target is overwritten and nothing in the source is removed. After an
    interruption run the same command again: it continues.
    """
    announce_stores()
    with _exit_on_refusal(), _show_progress() as progress:
        move = relocate(get_settings(), Direction(direction), only=only, dry_run=dry_run, progress=progress)
        report = asyncio.run(move)
    click.echo(json.dumps(_make_json(report)) if as_json else "\n".join(_format(report)))
    if not report.ok:
        sys.exit(1)


@contextmanager
def _exit_on_refusal() -> Iterator[None]:
    """Refusals become a line and exit code 1."""
    try:
        yield
    except ProblemError as error:
        raise click.ClickException(error.detail) from error
    except StartError as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt as error:
        raise click.ClickException("Interrupted. Run the same command again: it continues.") from error


@contextmanager
def _show_progress() -> Iterator[Progress]:
    """A bar on a terminal, one role after the other; nothing elsewhere."""
    with tqdm(leave=False, disable=not sys.stderr.isatty()) as bar:

        def show(role: str, done: int, total: int) -> None:
            bar.total, bar.n = total, done
            bar.set_description_str(role)

        yield show


def _make_json(report: Report) -> dict[str, object]:
    stores = [asdict(store) for store in report.stores]
    for store in stores:
        del store["remedy"]
    return {
        "to": report.direction.value,
        "dry_run": report.dry_run,
        "continued": report.continued,
        "ok": report.ok,
        "stores": stores,
        "checks": [asdict(check) | {"ok": check.ok} for check in report.checks],
        "notes": list(report.notes),
    }


def _format(report: Report) -> Iterator[str]:
    for store in report.stores:
        yield f"{store.role}: {format_counts(store.source)}"
        yield f"    from {store.from_place}"
        yield f"    to   {store.to_place}"
    if report.continued:
        yield "An earlier move that was broken off " + ("would be continued." if report.dry_run else "was continued.")
    yield ""
    if report.dry_run:
        yield "Nothing was changed: this was a dry run."
        return
    yield from _format_table(report.checks)
    yield ""
    yield from _summarize(report)


def _format_table(checks: tuple[StoreComparison, ...]) -> Iterator[str]:
    yield f"{'compared':<28} {'source':>9} {'target':>9} {'whole':>7}"
    for check in checks:
        outcome = "alike" if check.ok else "DIFFERENT"
        name = check.what if check.what == check.role else f"{check.role}: {check.what}"
        yield f"{name:<28} {check.source:>9} {check.target:>9} {check.compared:>7}  {outcome}"


def _summarize(report: Report) -> Iterator[str]:
    if report.ok:
        yield "Everything is there."
        yield from report.notes
        return
    for check in report.checks:
        yield from (f"{check.role}: {name}" for name in check.differing[:_DIFFERENCES_SHOWN])
        if len(check.differing) > _DIFFERENCES_SHOWN:
            yield f"{check.role}: and {len(check.differing) - _DIFFERENCES_SHOWN} more"
    yield (
        "The two sides differ: one of them was changed while, or since, they were copied. See that no service uses "
        "either, empty the target stores that differ, and run the same command again."
    )

"""`flask state`: the stored conversations, looked at, exported, shortened, encrypted and deleted by the operator.

Looking at a conversation does not prolong its life.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from functools import wraps
from heapq import nlargest
from pathlib import Path
from typing import Any, TextIO

import click
from flask.cli import AppGroup

from agents.artifacts import find_folder
from agents.threads import make_thread_id, parse_thread
from auth.operators import make_operator
from bootstrap.agent import open_result_files
from bootstrap.savers import make_decryption, make_encryption
from bootstrap.state import OpenState, open_state
from cli.operator import announce_stores, format_count, get_settings
from cli.state_citations import CitedDocuments
from cli.state_encryption import format_failures, format_outcomes, reencrypt
from cli.state_ratings import delete_ratings_of, reencrypt_ratings
from cli.state_secrets import reencrypt_secrets
from cli.state_tables import as_json, format_list, format_overview, format_sizes
from cli.state_transcript import erase_transcript_of, reencrypt_transcript
from domain.db import Database
from domain.db_opening import open_database
from utils.checkpointer import StateUnreadable
from utils.checkpointer.export import export_checkpoint
from utils.checkpointer.inspection import CheckpointEntry, Inspector, StoredConversation, escape_glob
from utils.errors import NotFound, ProblemError
from utils.processes import StartError

state = AppGroup("state", help="Stored conversations: list, show, size, export, prune, encrypt, delete.")

_ids = click.argument("ids", metavar="ID...", nargs=-1)
_id = click.argument("conversation", metavar="ID")
_TENANT = "Tenant; ID is then the id in the API, or SUBJECT.ID. Without: the id that `list` shows."
_tenant = click.option("--tenant", help=_TENANT)
_match = click.option("--match", "pattern", default="*", show_default=True, help="Ids of this form, * for anything.")
_json = click.option("--json", "as_json_", is_flag=True, help="Machine-readable output.")

Command = Callable[..., Coroutine[Any, Any, None]]


def _pass_inspector(command: Command) -> Callable[..., None]:
    """Run *command* with an `Inspector` before its arguments; refusals become a line and exit code 1."""

    @wraps(command)
    async def with_inspector(opened: OpenState, **arguments: Any) -> None:
        await command(opened.inspector, **arguments)

    return _pass_open_state(with_inspector)


def _pass_open_state(command: Command) -> Callable[..., None]:
    @wraps(command)
    def run(**arguments: Any) -> None:
        announce_stores()

        async def work() -> None:
            async with open_state(get_settings()) as opened:
                await command(opened, **arguments)

        try:
            asyncio.run(work())
        except StateUnreadable as error:
            raise click.ClickException(f"{error.key} cannot be read: {error.reason}") from error
        except ProblemError as error:
            raise click.ClickException(error.detail) from error
        except (StartError, OSError) as error:
            raise click.ClickException(str(error)) from error

    return run


@state.command("list")
@_tenant
@_match
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="Of those, the last used.")
@_json
@_pass_inspector
async def list_(inspector: Inspector, tenant: str | None, pattern: str, limit: int, as_json_: bool) -> None:
    """List conversations, the last used first: step, checkpoints, bytes, age, time since it was used, time left."""
    conversations = [one async for one in _find_matching(inspector, tenant, pattern)]
    newest = nlargest(limit, conversations, key=lambda one: one.summary.updated_at.timestamp() if one.summary else 0.0)
    click.echo(
        json.dumps([as_json(one) for one in newest]) if as_json_ else format_list(newest, total=len(conversations))
    )


@state.command("show")
@_id
@_tenant
@click.option("--limit", default=10, show_default=True, type=click.IntRange(1), help="How many checkpoints.")
@click.option("--messages", is_flag=True, help="Also what was said.")
@_json
@_pass_inspector
async def show(
    inspector: Inspector, conversation: str, tenant: str | None, limit: int, messages: bool, as_json_: bool
) -> None:
    """Show what a conversation is made of: newest checkpoints, channels, pending writes; no text unless asked for."""
    found = await _find(inspector, _resolve_id(conversation, tenant))
    overview = await inspector.summarize(found, limit=limit)
    click.echo(format_overview(overview, messages=messages, as_json=as_json_))


@state.command("size")
@_id
@_tenant
@_json
@_pass_inspector
async def size(inspector: Inspector, conversation: str, tenant: str | None, as_json_: bool) -> None:
    """Tell where the bytes of a conversation go, and what sharing and compression save."""
    found = await _find(inspector, _resolve_id(conversation, tenant))
    click.echo(format_sizes(await inspector.measure_sizes(found.thread_id), as_json=as_json_))


@state.command("export")
@_id
@_tenant
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="A file instead of standard output.")
@click.option("--latest", is_flag=True, help="Only the newest checkpoint of each namespace.")
@_pass_inspector
async def export(
    inspector: Inspector, conversation: str, tenant: str | None, output: Path | None, latest: bool
) -> None:
    """Write a conversation as JSON: checkpoints newest first, with all values and what was said."""
    found = await _find(inspector, _resolve_id(conversation, tenant))
    checkpoints = inspector.checkpoints(found.thread_id, latest_only=latest)
    # Ours alone to read: it holds what was said.
    to_file = output and os.fdopen(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w")
    with to_file or nullcontext(sys.stdout) as out, closing(_open_records()) as database:
        cited = CitedDocuments(database, make_operator(as_json(found)["tenant"]))
        unreadable = await _write_export(out, found, checkpoints, cited)
    if unreadable:
        raise click.ClickException(f"{unreadable} checkpoints cannot be read; the export says which.")


@state.command("prune")
@_ids
@_tenant
@_match
@click.option("--all", "everything", is_flag=True, help="All conversations, of --tenant and --match if given.")
@click.option("--keep", type=click.IntRange(1), help="So many of the newest; without, one of each namespace.")
@_pass_inspector
async def prune(
    inspector: Inspector, ids: Sequence[str], tenant: str | None, pattern: str, everything: bool, keep: int | None
) -> None:
    """Forget older checkpoints and whatever only they needed; the conversations and their time left stay."""
    if bool(ids) == everything:
        raise click.UsageError("Name conversations, or --all.")
    found = [one async for one in _find_matching(inspector, tenant, pattern)] if everything else []
    thread_ids = [one.thread_id for one in found] or [
        (await _find(inspector, _resolve_id(one, tenant))).thread_id for one in ids
    ]
    removed, broken = 0, 0
    for thread_id in thread_ids:
        try:
            removed += await inspector.prune(thread_id, keep)
        except StateUnreadable as error:
            broken += 1
            click.echo(f"Skipped: {error}", err=True)
    conversations = format_count(len(thread_ids) - broken, "conversation")
    click.echo(f"{format_count(removed, 'checkpoint')} removed from {conversations}.")
    if broken:
        sys.exit(1)


@state.command("encrypt")
@_ids
@_tenant
@_match
@click.option("--all", "everything", is_flag=True, help="All conversations, of --tenant and --match if given.")
@click.option("--decrypt", is_flag=True, help="Store them unencrypted again.")
@_pass_inspector
async def encrypt(
    inspector: Inspector, ids: Sequence[str], tenant: str | None, pattern: str, everything: bool, decrypt: bool
) -> None:
    """Bring conversations, in Redis and in SQL, and their ratings under the first key of STATE_ENCRYPTION_KEYS.

    The time they have left stays. --all without --match also takes what SQL keeps of conversations that have ended, and
    the API keys of models.
    """
    if bool(ids) == everything:
        raise click.UsageError("Name conversations, or --all.")
    keys = (make_decryption if decrypt else make_encryption)(get_settings())
    thread_ids = []
    for search in _make_searches(tenant, pattern) if everything else ():
        thread_ids += [one async for one in inspector.saver.athread_ids(search.glob) if search.finds(one)]
    for one in dict.fromkeys(ids):
        thread_ids.append((await _find(inspector, _resolve_id(one, tenant))).thread_id)
    outcomes = await reencrypt(inspector.saver, thread_ids, keys)
    among = None if everything and pattern == "*" else thread_ids
    for reencrypt_in_sql in (reencrypt_ratings, reencrypt_transcript):
        reencrypt_in_sql(get_settings(), outcomes, keys=keys, tenant=tenant, thread_ids=among)
    if among is None:
        reencrypt_secrets(get_settings(), outcomes, keys=keys, tenant=tenant)
    click.echo(format_outcomes(outcomes, keys, whole=everything and (tenant, pattern) == (None, "*")))
    if not outcomes.complete:
        raise click.ClickException(format_failures(outcomes))


@state.command("delete")
@_ids
@_tenant
@click.option("--yes", is_flag=True, help="Do not ask.")
@_pass_open_state
async def delete(opened: OpenState, ids: Sequence[str], tenant: str | None, yes: bool) -> None:
    """Delete conversations with runs, files and ratings, also from SQL. A turn under way may write its own again."""
    if not ids:
        raise click.UsageError("Name conversations.")
    conversations = {one: await _find(opened.inspector, _resolve_id(one, tenant)) for one in dict.fromkeys(ids)}
    if not yes:
        click.confirm(f"Delete {format_count(len(conversations), 'conversation')} for good?", abort=True, err=True)
    # First: what is said of a conversation must not outlive it.
    settings, thread_ids = get_settings(), [one.thread_id for one in conversations.values()]
    delete_ratings_of(settings, thread_ids)
    erase_transcript_of(settings, thread_ids)
    files = open_result_files(settings)
    for one in conversations.values():
        await opened.deletions.delete_runs(one.thread_id)
        await asyncio.to_thread(files.delete, find_folder(one.thread_id))
        await opened.inspector.saver.adelete_thread(one.thread_id)
    click.echo(f"{format_count(len(conversations), 'conversation')} deleted.")


def _open_records() -> Database:
    """Where the documents are; nothing is connected until one is asked for."""
    return open_database(get_settings().database_address)


def _resolve_id(conversation: str, tenant: str | None) -> str:
    """The id it is kept under; *conversation* may be that already, as `list` shows it, or that without the tenant."""
    if tenant is None or conversation.startswith(f"{tenant}."):
        return conversation
    if "." in conversation:
        return f"{tenant}.{conversation}"
    return make_thread_id(make_operator(tenant), conversation)


async def _find(inspector: Inspector, thread_id: str) -> StoredConversation:
    if (result := await inspector.find(thread_id)) is None:
        raise NotFound(f"There is no conversation {thread_id!r}; it may have expired. See `flask state list`.")
    return result


async def _find_matching(inspector: Inspector, tenant: str | None, pattern: str) -> AsyncIterator[StoredConversation]:
    for search in _make_searches(tenant, pattern):
        async for one in inspector.conversations(search.glob):
            if search.finds(one.thread_id):
                yield one


@dataclass(frozen=True, slots=True)
class _Search:
    """A glob over thread ids, and which of those that match are meant: of one tenant, shared or of one subject."""

    glob: str
    tenant: str | None = None
    is_shared: bool = True

    def finds(self, thread_id: str) -> bool:
        """Whether that one is meant; it matches."""
        thread = parse_thread(thread_id)
        return self.tenant is None or (thread.tenant_id, not thread.owner_id) == (self.tenant, self.is_shared)


def _make_searches(tenant: str | None, pattern: str) -> list[_Search]:
    """The searches that find the conversations of *tenant* whose id in the API is of the form *pattern*, each once."""
    if tenant is None:
        return [_Search(pattern)]
    shared = make_thread_id(make_operator(escape_glob(tenant)), pattern)
    return [_Search(shared, tenant), _Search(f"{escape_glob(tenant)}.*.{pattern}", tenant, is_shared=False)]


async def _write_export(
    out: TextIO, conversation: StoredConversation, checkpoints: AsyncIterator[Any], cited: CitedDocuments
) -> int:
    """Write one checkpoint after the other: all together may be large. Gives how many cannot be read."""
    unreadable = 0
    out.write(json.dumps(as_json(conversation))[:-1] + ', "checkpoints": [')
    before = "\n"
    async for one in checkpoints:
        unreadable += isinstance(one, CheckpointEntry)
        record = as_json(one) if isinstance(one, CheckpointEntry) else export_checkpoint(one)
        if not isinstance(one, CheckpointEntry):
            cited.note(record)
        out.write(before + json.dumps(record, ensure_ascii=False))
        before = ",\n"
    out.write("\n]}\n")
    return unreadable

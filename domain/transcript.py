"""The conversations of the transcript as their owners see them: listed, read, renamed, deleted and restored."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, func
from sqlalchemy.orm import Session

from auth.principal import Principal
from domain.branches import Branches, TurnPosition
from domain.db import Database
from domain.models import Conversation, ConversationShare, Tenant, Turn, now
from domain.paging import Part, Rows, read_part
from domain.scoping import prepare, scoped, scoped_delete, scoped_update, select_over
from domain.transcript_retention import Retention, erase
from domain.transcript_texts import TranscriptUnreadable, make_key, make_title_columns, read_texts, set_columns
from domain.transcript_writing import make_title
from utils.checkpointer.cipher import Keyring
from utils.errors import NotFound
from utils.moments import read_micros

MAX_COUNTED = 10_000  # conversations: to count more would take longer the more there are
_TURNS_AT_ONCE = 20
_ANY = prepare(Conversation, Conversation.deleted_at).where(
    Conversation.owner_id == bindparam("owner_id"), Conversation.conversation_id == bindparam("conversation_id")
)


def find_conversation(
    session: Session, ctx: Principal, conversation_id: str, retention: Retention
) -> Conversation | None:
    """The caller's conversation of that id, unless it is deleted or kept no longer."""
    row = session.scalar(scoped(ctx, Conversation).where(*_match(ctx, conversation_id)))
    if row is None or row.deleted_at is not None:
        return None
    return row if row.used_at > _find_start(session, ctx, retention) else None


def get_conversation(session: Session, ctx: Principal, conversation_id: str, retention: Retention) -> Conversation:
    """The conversation; see `find_conversation`.

    Raises:
        NotFound: there is none.
    """
    row = find_conversation(session, ctx, conversation_id, retention)
    if row is None:
        raise make_missing_error()
    return row


def may_have_conversation(database: Database, ctx: Principal, conversation_id: str) -> bool:
    """Whether anything is known of the caller's conversation: asked before each first turn, nearly always in vain."""
    return database.find(ctx, _ANY, owner_id=ctx.owner_id, conversation_id=conversation_id) is not None


def list_conversations(
    session: Session, ctx: Principal, part: Part, retention: Retention, *, within_s: float | None = None
) -> Rows[Conversation]:
    """A part of the caller's own with the bot it talks to, the last used first; `total` counts up to 10,000.

    *within_s*: those alone that were used in the last seconds.
    """
    own = _select_own(session, ctx, retention)
    if within_s is not None:
        own = own.where(Conversation.used_at > now() - timedelta(seconds=within_s))
    some = own.with_only_columns(Conversation.conversation_id).limit(MAX_COUNTED).subquery()
    total = session.scalar(select_over(ctx, func.count()).select_from(some)) or 0
    keys = Conversation.updated_at, Conversation.conversation_id
    return read_part(session, own, keys, part, total=total, descending=True)


def rename(
    session: Session,
    ctx: Principal,
    conversation_id: str,
    title: str | None,
    *,
    retention: Retention,
    keys: Keyring | None,
) -> Conversation:
    """Call the caller's conversation *title*; None: by its first question again. Flushed, not committed.

    Raises:
        NotFound: there is none of this id.
        TranscriptUnreadable: its first question cannot be read.
    """
    row = lock_conversation(session, ctx, conversation_id)
    if row is None or find_conversation(session, ctx, conversation_id, retention) is None:
        raise make_missing_error()
    row.is_title_given = title is not None
    if title is None:
        first = session.scalar(select_turns(ctx, conversation_id).order_by(Turn.sequence, Turn.run_id).limit(1))
        title = make_title(read_texts(first, keys)["question"]) if first else ""
    set_columns(row, make_title_columns(make_key(row), title, keys))
    session.flush()
    return row


def delete_conversation(
    session: Session, ctx: Principal, conversation_id: str, *, erases: bool, is_known: bool
) -> bool:
    """Delete the caller's conversation with the links to it; whether there was one to delete. Flushed, not committed.

    *erases*: erase it at once, also one that was deleted before; else it can be restored for a while. *is_known*:
    there is such a conversation, whether there are turns of it here or not: none that ended before now may come later.
    """
    row = lock_conversation(session, ctx, conversation_id)
    if row is None:
        if is_known and session.get(Tenant, ctx.tenant_id) is not None:
            session.add(_make_note(ctx, conversation_id))
            session.flush()
        return False
    is_there = row.deleted_at is None or (erases and row.turn_count > 0)
    session.execute(scoped_delete(ctx, ConversationShare).where(*_match_shares(ctx, conversation_id)))
    if row.deleted_at is None:
        row.deleted_at = row.used_at = now()
    if is_there or is_known:
        row.erased_through = read_micros(None)
    if erases:
        erase(session, ctx, row)
    session.flush()
    return is_there


def restore(session: Session, ctx: Principal, conversation_id: str, *, undo_s: float) -> Conversation:
    """Take back that the caller's conversation was deleted, which is less than *undo_s* ago; flushed, not committed.

    Raises:
        NotFound: none of this id was, or it is erased.
    """
    row = lock_conversation(session, ctx, conversation_id)
    since = now() - timedelta(seconds=undo_s)
    if row is None or row.deleted_at is None or not row.turn_count or row.deleted_at <= since:
        raise NotFound("There is no deleted conversation of this id that can be restored.")
    row.deleted_at, row.used_at = None, now()
    session.flush()
    return row


def note_use(session: Session, ctx: Principal, conversation_id: str) -> None:
    """The caller's conversation was read now."""
    session.execute(scoped_update(ctx, Conversation).where(*_match(ctx, conversation_id)).values(used_at=now()))


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """A turn of the transcript, readable."""

    run_id: str
    parent_run_id: str | None
    asked_at: datetime
    ended_at: datetime
    texts: Mapping[str, Any]

    def locate(self) -> TurnPosition:
        """Where it stands among the turns of its conversation."""
        return TurnPosition(self.run_id, self.parent_run_id)

    @property
    def message_count(self) -> int:
        """Question and answer, or the question alone."""
        return 1 if self.texts["answer"] is None else 2


def read_turns(session: Session, ctx: Principal, conversation_id: str, keys: Keyring | None) -> list[StoredTurn]:
    """The turns of the caller's conversation, in order; empty where there is none.

    Raises:
        TranscriptUnreadable: one of them cannot be read.
    """
    rows = session.scalars(select_turns(ctx, conversation_id).order_by(Turn.sequence, Turn.run_id))
    return [read_turn(row, keys) for row in rows]


def read_turn(row: Turn, keys: Keyring | None) -> StoredTurn:
    """The turn, readable.

    Raises:
        TranscriptUnreadable: it cannot be read.
    """
    return StoredTurn(row.run_id, row.parent_run_id, row.asked_at, row.ended_at, read_texts(row, keys))


def list_places(
    session: Session, ctx: Principal, conversation_id: str, through: int | None = None
) -> Branches[tuple[TurnPosition, int]]:
    """Where the turns of the caller's conversation stand, with their `sequence`, which is at most *through*."""
    rows = select_turns(ctx, conversation_id).with_only_columns(Turn.run_id, Turn.parent_run_id, Turn.sequence)
    if through is not None:
        rows = rows.where(Turn.sequence <= through)
    places = session.execute(rows.order_by(Turn.sequence, Turn.run_id))
    return Branches([(TurnPosition(run_id, parent), at) for run_id, parent, at in places], itemgetter(0))


def read_path(
    session: Session, ctx: Principal, conversation_id: str, places: Sequence[tuple[TurnPosition, int]]
) -> list[Turn]:
    """The turns of these places, in order."""
    runs = {place.run_id for place, _ in places}
    rows = session.scalars(select_turns(ctx, conversation_id).where(Turn.run_id.in_(runs)))
    path = {(row.run_id, row.sequence): row for row in rows}
    return [path[place.run_id, at] for place, at in places]


def find_turn(session: Session, ctx: Principal, conversation_id: str, run_id: str) -> Turn | None:
    """The turn of that run in the caller's conversation, the last where a run's name was used again."""
    named = select_turns(ctx, conversation_id).where(Turn.run_id == run_id)
    return session.scalar(named.order_by(Turn.sequence.desc()).limit(1))


def iterate_texts_of(
    session: Session, ctx: Principal, conversation_ids: Sequence[str], keys: Keyring | None
) -> Iterator[tuple[str, str]]:
    """Questions and answers of the caller's conversations with the conversation, without those that cannot be read.

    They are read a few at a time: all of them may not fit into memory.
    """
    rows = scoped(ctx, Turn).where(Turn.owner_id == ctx.owner_id, Turn.conversation_id.in_(conversation_ids))
    for row in session.scalars(rows.execution_options(yield_per=_TURNS_AT_ONCE)):
        with suppress(TranscriptUnreadable):
            texts = read_texts(row, keys)
            yield row.conversation_id, texts["question"]
            yield row.conversation_id, texts["answer"] or ""


def find_keep_s(session: Session, ctx: Principal, retention: Retention) -> float:
    """For how many seconds the caller's tenant keeps its transcript."""
    return retention.find_keep_s(session.get(Tenant, ctx.tenant_id))


def _select_own(session: Session, ctx: Principal, retention: Retention) -> Select[Conversation]:
    since = _find_start(session, ctx, retention)
    own = Conversation.owner_id == ctx.owner_id, Conversation.deleted_at.is_(None), Conversation.used_at > since
    return scoped(ctx, Conversation).where(*own)


def _find_start(session: Session, ctx: Principal, retention: Retention) -> datetime:
    """What was last used after that is kept."""
    return now() - timedelta(seconds=find_keep_s(session, ctx, retention))


def select_turns(ctx: Principal, conversation_id: str) -> Select[Turn]:
    """The turns of the caller's conversation."""
    return scoped(ctx, Turn).where(Turn.owner_id == ctx.owner_id, Turn.conversation_id == conversation_id)


def lock_conversation(session: Session, ctx: Principal, conversation_id: str) -> Conversation | None:
    """The caller's conversation, deleted or not, locked until the commit; None where there is none."""
    return session.scalar(scoped(ctx, Conversation).where(*_match(ctx, conversation_id)).with_for_update())


def _match(ctx: Principal, conversation_id: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return Conversation.owner_id == ctx.owner_id, Conversation.conversation_id == conversation_id


def _match_shares(ctx: Principal, conversation_id: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return ConversationShare.owner_id == ctx.owner_id, ConversationShare.conversation_id == conversation_id


def _make_note(ctx: Principal, conversation_id: str) -> Conversation:
    """That a conversation was deleted of which nothing is here."""
    at = now()
    return Conversation(
        tenant_id=ctx.tenant_id,
        owner_id=ctx.owner_id,
        conversation_id=conversation_id,
        subject_id="",
        bot_id="",
        channel="",
        language="",
        title="",
        created_at=at,
        updated_at=at,
        used_at=at,
        deleted_at=at,
        erased_through=read_micros(None),
    )


def make_missing_error() -> NotFound:
    """That the caller has no such conversation."""
    return NotFound("Conversation not found or expired.")

"""Turns that have ended are written to the transcript: each once, however often it comes."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningInsert

from auth.background import make_system
from domain.models import Conversation, Tenant, Turn, now
from domain.scoping import scoped, scoped_delete
from domain.transcript_retention import Retention
from domain.transcript_texts import NO_TEXTS, Key, make_key, make_text_columns, make_title_columns, set_columns
from domain.webhook_deliveries import Subject, queue_event
from domain.webhooks import WebhookEvent
from utils.checkpointer.cipher import Keyring
from utils.language import detect_any_language

LONGEST_TITLE = 80
_TOLD_BY = 300  # characters of a question, by which its language is told


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedTurn:
    """A turn as it ended; plain values, so that it can wait as JSON.

    `sequence`: its end in µs since 1970. `answer` is None where there is none. `details`: what else the answer
    has. `asked_at`: ISO 8601. `parent_run_id`: of the turn that it follows, or `START`; None: the one before it.
    """

    tenant_id: str
    owner_id: str
    conversation_id: str
    run_id: str
    subject_id: str
    bot_id: str
    bot_version: int
    channel: str
    status: str
    sequence: int
    asked_at: str
    question: str
    answer: str | None = None
    citations: list[dict[str, Any]] = field(default_factory=list)
    support: dict[str, Any] | None = None
    details: dict[str, Any] = field(default_factory=dict)
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    is_refusal: bool = False
    model: str = ""
    tokens: int | None = None
    parent_run_id: str | None = None

    @property
    def ended_at(self) -> datetime:
        """When it ended."""
        return datetime.fromtimestamp(self.sequence / 1_000_000, UTC)

    @property
    def key(self) -> Key:
        """Its conversation."""
        return self.tenant_id, self.owner_id, self.conversation_id

    @property
    def identity(self) -> tuple[str, str, datetime]:
        """What tells it from all others: tenant, run, and when it was asked."""
        return self.tenant_id, self.run_id, datetime.fromisoformat(self.asked_at)

    @property
    def language(self) -> str:
        """That of the question, by its beginning."""
        return detect_any_language(self.question[:_TOLD_BY])


def write_turns(
    session: Session, turns: Iterable[FinishedTurn], *, retention: Retention, keys: Keyring | None
) -> list[str]:
    """Write those that are not there yet; flushed, not committed. The run ids of those that are new.

    Left out is what may not be kept: of a tenant without a transcript, older than it keeps, or of a conversation that
    was deleted after the turn had ended. *keys* encrypt the texts. Several turns cost little more than one.
    """
    talks = _group(session, turns, retention)
    rows = _lock_conversations(session, talks, keys)
    new = [turn for key, talk in talks.items() for turn in _choose(session, rows[key], talk, keys)]
    written = _insert_turns(session, new, keys)
    for turn in written:
        _count(rows[turn.key], turn, keys)
    _queue_refusals(session, written)
    session.flush()
    return [turn.run_id for turn in written]


def copy_turns(session: Session, turns: Sequence[FinishedTurn], keys: Keyring | None) -> Conversation:
    """The conversation that begins with *turns*, all of one; flushed, not committed. Nobody is told of them again."""
    key = turns[0].key
    row = _lock_conversations(session, {key: turns}, keys)[key]
    for turn in _insert_turns(session, turns, keys):
        _count(row, turn, keys)
    session.flush()
    return row


def _queue_refusals(session: Session, turns: Iterable[FinishedTurn]) -> None:
    """Have webhooks told of those whose question was refused."""
    refused = defaultdict[str, list[Subject]](list)
    for turn in turns:
        if turn.is_refusal:
            named = ("owner_id", "conversation_id", "run_id", "bot_id", "asked_at")
            refused[turn.tenant_id].append({name: getattr(turn, name) for name in named})
    for tenant_id, subjects in sorted(refused.items()):
        queue_event(session, make_system(tenant_id), WebhookEvent.QUESTION_REFUSED, subjects)


def make_title(question: str) -> str:
    """A title made of a conversation's first question: its first sentence where that says enough, cut at a word."""
    line = " ".join(question.split())
    if len(line) <= LONGEST_TITLE:
        return line
    cut = line[:LONGEST_TITLE]
    ends = [cut.rfind(mark) + 1 for mark in ("? ", ". ", "! ")]
    if max(ends) >= LONGEST_TITLE // 3:
        return cut[: max(ends)]
    whole_words = cut.rpartition(" ")[0]
    return f"{whole_words if len(whole_words) > LONGEST_TITLE // 2 else cut}…"


def _group(session: Session, turns: Iterable[FinishedTurn], retention: Retention) -> dict[Key, list[FinishedTurn]]:
    """The turns to be kept, by conversation, each once and in order."""
    once = {turn.identity: turn for turn in turns}  # it may wait in two places
    tenants = {turn.tenant_id for turn in once.values()}
    keep_s = {tenant_id: retention.find_keep_s(session.get(Tenant, tenant_id)) for tenant_id in tenants}
    at, talks = now(), defaultdict[Key, list[FinishedTurn]](list)
    # Several writers at once lock conversations in the same order.
    for turn in sorted(once.values(), key=lambda turn: (turn.key, turn.sequence)):
        if turn.ended_at > at - timedelta(seconds=keep_s[turn.tenant_id]):
            talks[turn.key].append(turn)
    return talks


def _lock_conversations(
    session: Session, talks: Mapping[Key, Sequence[FinishedTurn]], keys: Keyring | None
) -> dict[Key, Conversation]:
    """Lock these conversations; one that is new begins with the first of its turns."""
    if not talks:
        return {}
    rows = [
        {
            **dict(zip(("tenant_id", "owner_id", "conversation_id"), key, strict=True)),
            **_describe_beginning(turns[0], keys),
        }
        for key, turns in talks.items()
    ]
    statement = _make_statements(session.get_bind().dialect.name).lock
    result = session.scalars(statement, rows, execution_options={"populate_existing": True})
    return {make_key(row): row for row in result}


def _describe_beginning(turn: FinishedTurn, keys: Keyring | None) -> dict[str, Any]:
    """The columns of a conversation that begins with *turn*."""
    return {
        "subject_id": turn.subject_id,
        "bot_id": turn.bot_id,
        "channel": turn.channel,
        "language": turn.language,
        "is_title_given": False,
        "turn_count": 0,
        "message_count": 0,
        "created_at": datetime.fromisoformat(turn.asked_at),
        "updated_at": turn.ended_at,
        "used_at": turn.ended_at,
        **make_title_columns(turn.key, make_title(turn.question), keys),
    }


def _choose(
    session: Session, row: Conversation, turns: Sequence[FinishedTurn], keys: Keyring | None
) -> Sequence[FinishedTurn]:
    """Which of a conversation's turns may be written; one that was deleted begins anew where there are any."""
    late = [turn for turn in turns if turn.sequence > row.erased_through]
    if row.deleted_at is None or not late:
        return late
    here = Turn.owner_id == row.owner_id, Turn.conversation_id == row.conversation_id
    ctx = make_system(row.tenant_id)
    written = {(one.tenant_id, one.run_id, one.asked_at) for one in session.scalars(scoped(ctx, Turn).where(*here))}
    new = [turn for turn in late if turn.identity not in written]
    if new:  # of the one before nothing can be restored any more
        session.execute(scoped_delete(ctx, Turn).where(*here))
        set_columns(row, {"deleted_at": None, **_describe_beginning(new[0], keys)})
    return new


def _insert_turns(session: Session, turns: Sequence[FinishedTurn], keys: Keyring | None) -> list[FinishedTurn]:
    """Insert turns; gives those that were new."""
    if not turns:
        return []
    statement = _make_statements(session.get_bind().dialect.name).insert
    new_turns = session.execute(statement, [_make_row(turn, keys) for turn in turns])
    written = {(tenant_id, run_id, asked_at) for tenant_id, run_id, asked_at in new_turns}
    return [turn for turn in turns if turn.identity in written]


def _make_row(turn: FinishedTurn, keys: Keyring | None) -> dict[str, Any]:
    texts = {name: getattr(turn, name) for name in NO_TEXTS}
    return {
        "tenant_id": turn.tenant_id,
        "owner_id": turn.owner_id,
        "conversation_id": turn.conversation_id,
        "run_id": turn.run_id,
        "sequence": turn.sequence,
        "parent_run_id": turn.parent_run_id,
        "status": turn.status,
        "bot_version": turn.bot_version,
        "language": turn.language,
        "is_refusal": turn.is_refusal,
        "model": turn.model,
        "tokens": turn.tokens,
        "asked_at": datetime.fromisoformat(turn.asked_at),
        "ended_at": turn.ended_at,
        **make_text_columns(turn.key, turn.run_id, texts, keys),
    }


def _count(row: Conversation, turn: FinishedTurn, keys: Keyring | None) -> None:
    """Let the conversation have one turn more."""
    row.turn_count += 1
    row.message_count += 1 if turn.answer is None else 2
    row.updated_at = max(row.updated_at, turn.ended_at)
    row.used_at = max(row.used_at, turn.ended_at)
    asked_at = datetime.fromisoformat(turn.asked_at)
    if asked_at < row.created_at:  # it came late, and is the first
        row.created_at = asked_at
        if not row.is_title_given:
            set_columns(row, make_title_columns(turn.key, make_title(turn.question), keys))


class _Statements(NamedTuple):
    """`lock` gives conversations, and makes those that are missing; `insert` gives the turns that were missing."""

    lock: ReturningInsert[Conversation]
    insert: ReturningInsert[str, str, datetime]


@cache
def _make_statements(dialect: str) -> _Statements:
    insert: Any = postgresql.insert if dialect == "postgresql" else sqlite.insert
    added = insert(Conversation)
    # That it stays as it is, is a change, too: only so the row is locked, and given.
    conversations = added.on_conflict_do_update(
        index_elements=["tenant_id", "owner_id", "conversation_id"], set_={"used_at": Conversation.used_at}
    )
    turns = insert(Turn).on_conflict_do_nothing(index_elements=["tenant_id", "run_id", "asked_at"])
    return _Statements(
        conversations.returning(Conversation), turns.returning(Turn.tenant_id, Turn.run_id, Turn.asked_at)
    )

"""Turns that have ended are written to the transcript: each once, however often it comes."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from auth.background import make_system
from auth.principal import Principal
from domain.documents import in_batches
from domain.models import Conversation, Tenant, Turn, now
from domain.scoping import scoped, scoped_delete
from domain.transcript_retention import Retention
from domain.transcript_texts import write_texts, write_title
from utils.checkpointer.cipher import Keyring
from utils.language import detect_any_language

logger = logging.getLogger(__name__)
LONGEST_TITLE = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedTurn:
    """A turn as it ended; plain values, so that it can wait as JSON.

    `sequence`: its end in µs since 1970. `answer` is None where there is none. `details`: what else rides on the
    answer. `asked_at`: ISO 8601.
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

    @property
    def ended_at(self) -> datetime:
        """When it ended."""
        return datetime.fromtimestamp(self.sequence / 1_000_000, UTC)

    @property
    def key(self) -> tuple[str, str, str]:
        """Its conversation."""
        return self.tenant_id, self.owner_id, self.conversation_id


def write_turns(
    session: Session, turns: Iterable[FinishedTurn], *, retention: Retention, keys: Keyring | None
) -> list[str]:
    """Write those that are not there yet; flushed, not committed. The run ids of those that are new.

    Left out is what may not be kept: of a tenant without a transcript, older than it keeps, or of a conversation that
    was deleted after the turn had ended. *keys* encrypt the texts.
    """
    groups: defaultdict[tuple[str, str, str], list[FinishedTurn]] = defaultdict(list)
    for turn in turns:
        groups[turn.key].append(turn)
    written: list[str] = []
    for _, group in sorted(groups.items()):  # several at once lock conversations in the same order
        once = {turn.run_id: turn for turn in group}  # it may wait in two places
        ordered = sorted(once.values(), key=lambda turn: turn.sequence)
        written += _write_conversation(session, ordered, retention=retention, keys=keys)
    return written


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


def _write_conversation(
    session: Session, turns: Sequence[FinishedTurn], *, retention: Retention, keys: Keyring | None
) -> list[str]:
    """Those of one conversation, in order."""
    ctx = make_system(turns[0].tenant_id)
    keep_s = retention.find_keep_s(session.get(Tenant, ctx.tenant_id))
    since = now() - timedelta(seconds=keep_s)
    kept = [turn for turn in turns if keep_s and turn.ended_at > since]
    if not kept:
        return []
    row = _lock_conversation(session, ctx, kept[0]) or _add_conversation(session, ctx, kept[0], keys)
    known = _find_known(session, ctx, [turn.run_id for turn in kept])
    new = [turn for turn in kept if turn.sequence > row.erased_through and turn.run_id not in known]
    if new and row.deleted_at is not None:
        _begin_anew(session, ctx, row, new[0], keys)
    for turn in new:
        _add_turn(session, row, turn, keys)
    session.flush()
    return [turn.run_id for turn in new]


def _lock_conversation(session: Session, ctx: Principal, turn: FinishedTurn) -> Conversation | None:
    here = Conversation.owner_id == turn.owner_id, Conversation.conversation_id == turn.conversation_id
    return session.scalar(scoped(ctx, Conversation).where(*here).with_for_update())


def _add_conversation(session: Session, ctx: Principal, turn: FinishedTurn, keys: Keyring | None) -> Conversation:
    row = Conversation(
        tenant_id=turn.tenant_id,
        owner_id=turn.owner_id,
        conversation_id=turn.conversation_id,
        title="",
        turn_count=0,
        message_count=0,
        erased_through=0,
        is_title_given=False,
    )
    _describe_beginning(row, turn, keys)
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:  # another worker was first
        found = _lock_conversation(session, ctx, turn)
        if found is None:
            raise
        return found
    return row


def _describe_beginning(row: Conversation, turn: FinishedTurn, keys: Keyring | None) -> None:
    """Let the conversation have begun with *turn*."""
    row.subject_id, row.bot_id, row.channel = turn.subject_id, turn.bot_id, turn.channel
    row.language = detect_any_language(turn.question)
    row.created_at = datetime.fromisoformat(turn.asked_at)
    row.updated_at = row.used_at = turn.ended_at
    write_title(row, make_title(turn.question), keys)


def _begin_anew(session: Session, ctx: Principal, row: Conversation, turn: FinishedTurn, keys: Keyring | None) -> None:
    """A deleted conversation's id is used again: of the one before nothing can be restored any more."""
    here = Turn.owner_id == row.owner_id, Turn.conversation_id == row.conversation_id
    session.execute(scoped_delete(ctx, Turn).where(*here))
    row.deleted_at, row.turn_count, row.message_count, row.is_title_given = None, 0, 0, False
    _describe_beginning(row, turn, keys)


def _find_known(session: Session, ctx: Principal, run_ids: Sequence[str]) -> set[str]:
    """Which of these runs are written already."""
    columns = scoped(ctx, Turn).with_only_columns(Turn.run_id)
    return {one for ids in in_batches(run_ids) for one in session.scalars(columns.where(Turn.run_id.in_(ids)))}


def _add_turn(session: Session, row: Conversation, turn: FinishedTurn, keys: Keyring | None) -> None:
    stored = Turn(
        tenant_id=row.tenant_id,
        owner_id=row.owner_id,
        conversation_id=row.conversation_id,
        run_id=turn.run_id,
        sequence=turn.sequence,
        status=turn.status,
        bot_version=turn.bot_version,
        language=detect_any_language(turn.question),
        is_refusal=turn.is_refusal,
        model=turn.model,
        tokens=turn.tokens,
        asked_at=datetime.fromisoformat(turn.asked_at),
        ended_at=turn.ended_at,
    )
    texts = {"question": turn.question, "answer": turn.answer, "citations": turn.citations, "support": turn.support}
    write_texts(stored, texts | {"details": turn.details, "tool_calls": turn.tool_calls}, keys)
    session.add(stored)
    row.turn_count += 1
    row.message_count += 1 if turn.answer is None else 2
    row.updated_at = max(row.updated_at, turn.ended_at)
    row.used_at = max(row.used_at, turn.ended_at)
    if stored.asked_at < row.created_at:  # it came late, and is the first
        row.created_at = stored.asked_at
        if not row.is_title_given:
            write_title(row, make_title(turn.question), keys)

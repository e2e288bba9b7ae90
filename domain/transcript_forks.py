"""Begins a conversation with what another one said up to one of its answers; the other stays as it is."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

from sqlalchemy.orm import Session

from auth.principal import Principal
from domain.models import Conversation, Turn, now
from domain.transcript import find_turn, get_conversation, list_places, lock_conversation, read_path
from domain.transcript_retention import Retention
from domain.transcript_texts import make_title_columns, read_texts, read_title, set_columns
from domain.transcript_writing import FinishedTurn, copy_turns, make_title
from utils.checkpointer.cipher import Keyring
from utils.errors import Conflict, NotFound
from utils.moments import format_moment, read_micros

MAX_TURNS = 200
"""The newest up to the answer: a model is shown far fewer, and they are copied at once."""
_LONGEST_TITLE = 200
_NUMBERED = re.compile(r" \(([2-9]|[1-9][0-9])\)\Z")  # what has more digits is a year, or a room


@dataclass(frozen=True, slots=True)
class Fork:
    """The answer of `run_id` in the caller's conversation is what `new_id` goes on from."""

    conversation_id: str
    run_id: str
    new_id: str


def fork_conversation(
    session: Session, ctx: Principal, fork: Fork, *, retention: Retention, keys: Keyring | None
) -> Conversation:
    """The new conversation, with copies of at most `MAX_TURNS` turns; flushed, not committed.

    Copies have runs of their own, under which they are rated and told of. Nobody is told of refused ones again, and
    their tokens count once.

    Raises:
        NotFound: there is no such conversation, or no such answer in it.
        Conflict: there is a conversation of the new id, or was one.
        TranscriptUnreadable: a turn cannot be read.
    """
    source = get_conversation(session, ctx, fork.conversation_id, retention)
    if lock_conversation(session, ctx, fork.new_id) is not None:
        raise make_taken_error()
    rows = _list_turns(session, ctx, fork, keys)
    turns = _copy(source, rows, fork.new_id, ctx, keys)
    created = copy_turns(session, turns, keys)
    created.created_at, created.is_title_given = now(), True
    # A title that nobody gave may be made of a question of another branch.
    title = read_title(source, keys) if source.is_title_given else make_title(read_texts(rows[0], keys)["question"])
    set_columns(created, make_title_columns(turns[0].key, number_title(title), keys))
    session.flush()
    return created


def make_taken_error() -> Conflict:
    """That the new id is another conversation's."""
    return Conflict("There is a conversation of this id already. Name another one.")


def number_title(title: str) -> str:
    """What a fork of the conversation of that title is called: "Rooms (2)", "Rooms (3)"."""
    match = _NUMBERED.search(title)
    base, number = (title[: match.start()], int(match[1]) + 1) if match else (title, 2)
    end = f" ({number})"
    return f"{base[: _LONGEST_TITLE - len(end)]}{end}"


def _list_turns(session: Session, ctx: Principal, fork: Fork, keys: Keyring | None) -> list[Turn]:
    """The turns that are copied, in order."""
    last = find_turn(session, ctx, fork.conversation_id, fork.run_id)
    if last is None or read_texts(last, keys)["answer"] is None:
        raise NotFound("The conversation has no such answer.")
    branches = list_places(session, ctx, fork.conversation_id)
    path = branches.list_path(branches.find(fork.run_id))[-MAX_TURNS:]
    return read_path(session, ctx, fork.conversation_id, [branches.turns[at] for at in path])


def _copy(
    source: Conversation, rows: Sequence[Turn], new_id: str, ctx: Principal, keys: Keyring | None
) -> list[FinishedTurn]:
    begin = read_micros(None) - len(rows)  # in order, and of now: what is older than is kept would not be
    return [
        FinishedTurn(
            tenant_id=ctx.tenant_id,
            owner_id=ctx.owner_id,
            conversation_id=new_id,
            run_id=uuid4().hex,
            subject_id=ctx.subject_id,
            bot_id=source.bot_id,
            bot_version=row.bot_version,
            channel=source.channel,
            status=row.status,
            sequence=begin + number,
            asked_at=format_moment(row.asked_at),
            is_refusal=row.is_refusal,
            model=row.model,
            **read_texts(row, keys),
        )
        for number, row in enumerate(rows)
    ]

"""The transcript from the event loop: conversations that are deleted, restored, and read again from SQL."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage
from sqlalchemy.orm import Session

from agents.messages import answer_id, question_message, to_json
from auth.principal import Principal
from domain.db import Database
from domain.in_thread import read, write
from domain.models import Conversation, now
from domain.transcript import (
    StoredTurn,
    delete_conversation,
    find_conversation,
    find_keep_s,
    read_turns,
    restore,
)
from domain.transcript_retention import Retention
from domain.transcript_writing import FinishedTurn, write_turns
from utils.checkpointer.cipher import Keyring
from utils.errors import NotFound
from utils.moments import format_moment

PERSISTENCE = "database"  # of a conversation whose state has expired


class Transcripts:
    """What SQL keeps of conversations.

    `erasures` counts the conversations that were deleted here, for whoever sees to it that nothing is left of them.

    Args:
        keys: the texts are encrypted under; None where conversations are not encrypted.
        undo_s: for how long a deleted conversation can be restored; 0: not at all.
    """

    def __init__(self, database: Database, *, retention: Retention, keys: Keyring | None, undo_s: float) -> None:
        self._database, self.retention, self._keys, self.undo_s = database, retention, keys, undo_s
        self.erasures = 0

    async def delete(
        self,
        ctx: Principal,
        conversation_id: str,
        *,
        waiting: Sequence[FinishedTurn] = (),
        erases: bool,
        is_known: bool,
    ) -> bool:
        """See `delete_conversation`; the turns that are still *waiting* belong to it.

        Raises:
            StoreUnavailable: the database is away, and nothing is deleted.
        """

        def work(session: Session) -> bool:
            write_turns(session, waiting, retention=self.retention, keys=self._keys)
            at_once = erases or not self.undo_s
            return delete_conversation(session, ctx, conversation_id, erases=at_once, is_known=is_known)

        was_there = await write(self._database, work)
        self.erasures += 1
        return was_there

    async def restore(self, ctx: Principal, conversation_id: str) -> None:
        """See `restore`."""

        def work(session: Session) -> None:
            restore(session, ctx, conversation_id, undo_s=self.undo_s)

        await write(self._database, work)

    async def page(
        self, ctx: Principal, conversation_id: str, *, limit: int, before: int | None = None
    ) -> dict[str, Any]:
        """The last *limit* messages before the one at *before*, or of all, as the API shows them.

        Raises:
            NotFound: there is no such conversation.
            TranscriptUnreadable: it cannot be read.
        """
        found, turns, keep_s = await read(self._database, partial(self._read, ctx=ctx, conversation_id=conversation_id))
        if found is None:
            raise NotFound("Conversation not found or expired.")
        messages = [message for turn in turns for message in _make_messages(turn)]
        stop = len(messages) if before is None else min(before, len(messages))
        start = max(0, stop - limit)
        left_s = found.used_at.timestamp() + keep_s - _now_s()
        return {
            "messages": [to_json(message) for message in messages[start:stop]],
            "total": len(messages),
            "limit": limit,
            "offset": start,
            "expires_in_s": max(1, int(left_s)),
            "persistence": PERSISTENCE,
        }

    async def messages(self, ctx: Principal, conversation_id: str) -> list[AnyMessage]:
        """All messages of a conversation, to go on from; none where there is no such conversation.

        Raises:
            StoreUnavailable: the database is away.
            TranscriptUnreadable: it cannot be read.
        """
        _, turns, _ = await read(self._database, partial(self._read, ctx=ctx, conversation_id=conversation_id))
        return [message for turn in turns for message in _make_messages(turn)]

    def _read(
        self, session: Session, ctx: Principal, conversation_id: str
    ) -> tuple[Conversation | None, list[StoredTurn], float]:
        found = find_conversation(session, ctx, conversation_id, self.retention)
        turns = read_turns(session, ctx, conversation_id, self._keys) if found else []
        return found, turns, find_keep_s(session, ctx, self.retention)


def _make_messages(turn: StoredTurn) -> list[AnyMessage]:
    """Question and answer, as they stood in the conversation's state."""
    texts = turn.texts
    question = question_message(texts["question"], turn.run_id, format_moment(turn.asked_at))
    if texts["answer"] is None:
        return [question]
    rides = {**texts["details"], **{name: texts[name] for name in ("citations", "support", "tool_calls")}}
    return [question, AIMessage(texts["answer"], id=answer_id(turn.run_id), additional_kwargs=rides)]


def _now_s() -> float:
    return now().timestamp()

"""The transcript from the event loop: conversations that are deleted, restored, and read again from SQL."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage
from sqlalchemy.orm import Session

from agents.branches import ConversationTurn, read_branches
from agents.messages import answer_id, make_ids_unique, make_question_message
from agents.reading import PageRequest, QuestionAndAnswer, find_answer, make_no_answer_error, show_branch
from agents.traces import TRACE, Trace, describe_trace
from auth.principal import Principal
from domain.branches import Branches
from domain.db import Database
from domain.in_thread import read, write
from domain.models import Conversation, now
from domain.paging import Part, Rows
from domain.transcript import (
    StoredTurn,
    delete_conversation,
    find_conversation,
    find_keep_s,
    find_turn,
    list_conversations,
    make_missing_error,
    may_have_conversation,
    note_use,
    read_turns,
    rename,
    restore,
)
from domain.transcript_forks import Fork, fork_conversation
from domain.transcript_retention import Retention
from domain.transcript_search import search_conversations, show_title
from domain.transcript_texts import read_texts
from domain.transcript_writing import FinishedTurn, write_turns
from utils.checkpointer.cipher import Keyring
from utils.errors import ProblemError
from utils.moments import format_moment

logger = logging.getLogger(__name__)

_PATIENCE_S = 1.0
_NOTED_AFTER = 1 / 24  # of the time that conversations are kept
PERSISTENCE = "database"  # of a conversation whose state has expired
BranchMessages = tuple[list[AnyMessage], list[AnyMessage]]
"""The messages of the branch that a conversation goes on with, and those of the others, see `agents.branches`."""


@dataclass(frozen=True, slots=True)
class ListedConversation:
    """A conversation of the transcript with its title, and for how many seconds it is kept, of how many."""

    row: Conversation
    title: str
    left_s: int
    keep_s: float

    @property
    def is_long_unused(self) -> bool:
        """Whether that it was read is worth a note: a database is not to be written to at each reading."""
        return self.left_s < self.keep_s * (1 - _NOTED_AFTER)


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

    async def restore(self, ctx: Principal, conversation_id: str) -> ListedConversation:
        """See `restore`."""

        def work(session: Session) -> ListedConversation:
            row = restore(session, ctx, conversation_id, undo_s=self.undo_s)
            return self._show(row, find_keep_s(session, ctx, self.retention))

        return await write(self._database, work)

    async def list_own(
        self, ctx: Principal, part: Part, query: str = "", *, within_s: float | None = None
    ) -> tuple[Rows[Conversation], list[ListedConversation]]:
        """A part of the caller's conversations, the last used first, of those that hold all words of *query*; readable.

        *within_s*: without a query, those alone that were used in the last seconds.

        Raises:
            StoreUnavailable: the database is away.
        """

        def work(session: Session) -> tuple[Rows[Conversation], list[ListedConversation]]:
            if query:
                conversations = search_conversations(
                    session, ctx, query, part, retention=self.retention, keys=self._keys
                )
            else:
                conversations = list_conversations(session, ctx, part, self.retention, within_s=within_s)
            keep_s = find_keep_s(session, ctx, self.retention)
            return conversations, [self._show(row, keep_s) for row in conversations.rows]

        return await read(self._database, work)

    async def rename(
        self, ctx: Principal, conversation_id: str, title: str | None, *, waiting: Sequence[FinishedTurn] = ()
    ) -> ListedConversation:
        """Call it *title*; None: by its first question. The turns that are still *waiting* belong to it.

        Raises:
            NotFound: there is no such conversation here.
        """

        def work(session: Session) -> ListedConversation:
            write_turns(session, waiting, retention=self.retention, keys=self._keys)
            row = rename(session, ctx, conversation_id, title, retention=self.retention, keys=self._keys)
            return self._show(row, find_keep_s(session, ctx, self.retention))

        return await write(self._database, work)

    async def fork(self, ctx: Principal, fork: Fork, *, waiting: Sequence[FinishedTurn]) -> ListedConversation:
        """See `fork_conversation`; the turns that are still *waiting* belong to the conversation that stays."""

        def work(session: Session) -> ListedConversation:
            write_turns(session, waiting, retention=self.retention, keys=self._keys)
            row = fork_conversation(session, ctx, fork, retention=self.retention, keys=self._keys)
            return self._show(row, find_keep_s(session, ctx, self.retention))

        return await write(self._database, work)

    async def note_reading(self, ctx: Principal, conversation_id: str) -> ListedConversation | None:
        """Let a conversation that is read now be kept for longer; what is listed of it, None where it is not here."""

        def look(session: Session) -> ListedConversation | None:
            row = find_conversation(session, ctx, conversation_id, self.retention)
            return self._show(row, find_keep_s(session, ctx, self.retention)) if row else None

        result = await read(self._database, look)
        if result is not None and result.is_long_unused:
            await write(self._database, partial(note_use, ctx=ctx, conversation_id=conversation_id))
        return result

    def _show(self, row: Conversation, keep_s: float) -> ListedConversation:
        left_s = row.used_at.timestamp() + keep_s - now().timestamp()
        return ListedConversation(row, show_title(row, self._keys), max(1, int(left_s)), keep_s)

    async def read_page(self, ctx: Principal, conversation_id: str, request: PageRequest) -> dict[str, Any]:
        """The last messages of a branch, or those before a place, as the API shows them.

        Raises:
            NotFound: there is no such conversation, or no turn of the branch's name.
            TranscriptUnreadable: it cannot be read.
        """
        found, branches, keep_s = await self._read(ctx, conversation_id)
        if found is None:
            raise make_missing_error()
        page = show_branch(*list_messages(branches), request)
        return {**page, "expires_in_s": self._show(found, keep_s).left_s, "persistence": PERSISTENCE}

    async def answer(self, ctx: Principal, conversation_id: str, run_id: str) -> QuestionAndAnswer:
        """The answer that the run gave there, with its question.

        Raises:
            NotFound: the conversation has no such answer.
        """
        _, branches, _ = await self._read(ctx, conversation_id)
        return find_answer(read_branches(*list_messages(branches)), run_id)

    async def find_trace(self, ctx: Principal, conversation_id: str, run_id: str) -> Trace:
        """What the answer of the run was made from, see `describe_trace`.

        Raises:
            NotFound: the conversation has no such answer.
        """

        def look(session: Session) -> Mapping[str, Any] | None:
            is_there = find_conversation(session, ctx, conversation_id, self.retention) is not None
            row = find_turn(session, ctx, conversation_id, run_id) if is_there else None
            return read_texts(row, self._keys) if row else None

        texts = await read(self._database, look)
        if texts is None:
            raise make_no_answer_error()
        return describe_trace(texts)

    async def require(self, ctx: Principal, conversation_id: str) -> None:
        """Return if there is such a conversation.

        Raises:
            NotFound: there is none.
        """
        find = partial(find_conversation, ctx=ctx, conversation_id=conversation_id, retention=self.retention)
        conversation = await read(self._database, find)
        if conversation is None or not conversation.turn_count:
            raise make_missing_error()

    async def recall(self, ctx: Principal, conversation_id: str) -> BranchMessages:
        """See `read_messages`; none either where they cannot be read now: a turn goes on without them."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                if await asyncio.to_thread(may_have_conversation, self._database, ctx, conversation_id):
                    return await self.read_messages(ctx, conversation_id)
        except (TimeoutError, ProblemError) as exc:
            logger.warning("A turn begins without what was said before: %s", exc)
        return [], []

    async def read_messages(self, ctx: Principal, conversation_id: str) -> BranchMessages:
        """All messages of a conversation, to go on from: those of the branch that goes on, and of the others; none
        where there is no such conversation.

        Raises:
            StoreUnavailable: the database is away.
            TranscriptUnreadable: it cannot be read.
        """
        _, branches, _ = await self._read(ctx, conversation_id)
        return list_messages(branches)

    async def _read(
        self, ctx: Principal, conversation_id: str
    ) -> tuple[Conversation | None, Branches[StoredTurn], float]:
        """The conversation, its turns, and for how many seconds it is kept; None and no turns where there is none."""

        def look(session: Session) -> tuple[Conversation | None, Branches[StoredTurn], float]:
            conversation = find_conversation(session, ctx, conversation_id, self.retention)
            turns = read_turns(session, ctx, conversation_id, self._keys) if conversation else []
            keep_s = find_keep_s(session, ctx, self.retention) if conversation else 0.0
            return conversation, Branches(turns, StoredTurn.locate), keep_s

        return await read(self._database, look)


def list_messages(branches: Branches[StoredTurn]) -> BranchMessages:
    """The messages of the branch that goes on, and those of the others, as they stood in the conversation's state."""
    messages = iter(make_ids_unique([message for turn in branches.turns for message in _make_messages(turn)]))
    line, others = list[AnyMessage](), list[AnyMessage]()
    path = frozenset(branches.list_path(branches.find_end()))
    for number, turn in enumerate(branches.turns):
        own = list(islice(messages, turn.message_count))
        if number in path:
            line += own
        else:
            others += ConversationTurn(turn.run_id, branches.name_parent(number), own).add_parent()
    return line, others


def _make_messages(turn: StoredTurn) -> list[AnyMessage]:
    """Question and answer, as they stood in the conversation's state."""
    texts = turn.texts
    question = make_question_message(texts["question"], turn.run_id, format_moment(turn.asked_at))
    if texts["answer"] is None:
        return [question]
    details = {name: value for name, value in texts["details"].items() if name != TRACE}  # it is asked for by itself
    extra = {**details, **{name: texts[name] for name in ("citations", "support", "tool_calls")}}
    return [question, AIMessage(texts["answer"], id=answer_id(turn.run_id), additional_kwargs=extra)]

"""What was said before a turn, and whether it was answered already: in the state of its conversation, or in SQL."""

from collections.abc import Callable
from typing import Any, NamedTuple

from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver

from agents.branches import choose_branch, find_parent
from agents.conversation_store import ConversationStore
from agents.lease_store import Lease
from agents.messages import answer_id, is_same_question, make_past, make_question_message
from agents.runs.record import Event, RunRecord
from agents.state import ChatState
from agents.transcripts import BranchMessages, Transcripts
from utils.checkpointer.keys import FENCE
from utils.errors import Conflict, StoreUnavailable


class TurnAnswer(NamedTuple):
    """An answer, and the run of the turn that its question follows."""

    answer: AIMessage
    parent_run_id: str


class TurnHistory:
    """Reads what stands before turns."""

    def __init__(self, store: ConversationStore, saver: BaseCheckpointSaver[Any], transcripts: Transcripts) -> None:
        self._store, self._saver, self._transcripts = store, saver, transcripts

    async def read_before(self, record: RunRecord, lease: Lease) -> ChatState:
        """What the state lacks of what was said before: on the branch that the question goes on with, and what SQL
        knows of a conversation whose state has expired. One that has its run's id begins now, with what its caller says
        was said before.

        Raises:
            NotFound: it is to follow a turn that the conversation does not have.
            Conflict: as many questions as may be follow that turn.
            StoreUnavailable: where it is to go on cannot be known now.
        """
        if lease.lacks_state and record.conversation_id == record.id:
            return {"messages": make_past(record.past, record.id)}
        if not record.parent_run_id:
            line, others = await self._recall(record, lease)
            return {"messages": line, "aside": others} if others else {"messages": line}
        question = make_question(record)
        if lease.lacks_state:
            line, others = await self._transcripts.read_messages(record.ctx, record.conversation_id)
            return choose_branch(line, others, record.parent_run_id, question) or {"messages": line, "aside": others}
        before = await self._store.look(record.thread_id)
        if before is None:
            raise StoreUnavailable("What was said before cannot be read now. Try again later.")
        values = before.checkpoint["channel_values"]
        chosen = choose_branch(values.get("messages", []), values.get("aside", []), record.parent_run_id, question)
        if not chosen or not values.get("kept_result"):
            return chosen
        return {**chosen, "kept_result": await self._find_last_result(record)}

    async def _recall(self, record: RunRecord, lease: Lease) -> BranchMessages:
        return await self._transcripts.recall(record.ctx, record.conversation_id) if lease.lacks_state else ([], [])

    async def _find_last_result(self, record: RunRecord) -> Any:
        """What a data source gave for the turn that the question follows, while the checkpoint of then is kept."""
        message_id = answer_id(record.parent_run_id)
        async for checkpoint in self._saver.alist(make_config(record.thread_id)):
            values = checkpoint.checkpoint["channel_values"]
            if (messages := values.get("messages")) and messages[-1].id == message_id:
                return values.get("kept_result")
        return None

    async def find_answer(self, record: RunRecord, emit: Callable[[Event], None]) -> TurnAnswer | None:
        """The answer, if the worker before came so far; it is told again, since what was streamed before is void."""
        checkpoint = await self._store.look(record.thread_id)
        messages = checkpoint.checkpoint["channel_values"].get("messages", []) if checkpoint else []
        question = make_question(record)
        after = next((i for i, message in enumerate(messages, 1) if is_same_question(message, question)), None)
        if after is None:  # nor its answer: one of that id is of another turn
            others = checkpoint.checkpoint["channel_values"].get("aside", []) if checkpoint else []
            if any(is_same_question(message, question) for message in others):
                raise _make_gone_on_error()
            return None
        same = (message for message in messages[after:] if message.id == answer_id(record.id))
        answer = next((message for message in same if isinstance(message, AIMessage)), None)
        if answer is None and any(isinstance(message, HumanMessage) for message in messages[after:]):
            raise _make_gone_on_error()
        if answer is None:
            return None
        emit({"type": "token", "content": answer.text})
        if support := answer.additional_kwargs.get("support"):
            emit({"type": "support", **support})
        return TurnAnswer(answer, find_parent(messages, question))


def make_question(record: RunRecord) -> HumanMessage:
    """The message of its question."""
    return make_question_message(record.message, record.id, record.created_at or None)


def make_config(thread_id: str, fence: int = 0) -> RunnableConfig:
    """What LangGraph is told of a conversation; *fence*: of the lease that may write it."""
    names = {"thread_id": thread_id, "checkpoint_ns": "", **({FENCE: fence} if fence else {})}
    return {"configurable": names}


def _make_gone_on_error() -> Conflict:
    return Conflict("The conversation has gone on since this was asked. Ask again.")

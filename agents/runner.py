"""Takes a conversation through a turn: the lease, the graph, its events."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from langchain_core.messages import AIMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.types import Interrupt

from agents.answer_cache import AnswerCache, AnswerCacheSession
from agents.answer_places import AnswerPlaces
from agents.artifacts import find_folder
from agents.attached_files import AttachedFiles
from agents.bots import BotConfig, BotDirectory
from agents.branches import PARENT, find_parent
from agents.conversation_store import ConversationStore
from agents.lease_store import Lease
from agents.leases import Leases
from agents.rag import compile_graph
from agents.runs.record import Event, RunRecord
from agents.stage_clock import StageClock
from agents.state import AgentContext, AnswerModel, AnswerModels, ChatState
from agents.tools.turn import Approval, ToolService, TurnTools
from agents.topics import TopicFinder
from agents.traces import Trace, make_trace
from agents.transcripts import Transcripts
from agents.turn_history import TurnAnswer, TurnHistory, make_config, make_question
from agents.turn_limiter import Permit, TurnLimiter
from agents.turn_result import make_result
from agents.verification.models import Entailment
from agents.verification.verifier import Verifier
from auth.principal import Principal
from prompts.rag import has_tone
from retrieval.attached import NOTHING_ATTACHED, AttachedPassages
from retrieval.search import Retriever
from utils.errors import NotReady, StoreUnavailable

# Turns that wait neither for a model nor for a search have the event loop so many at a time. With all of 1,000 begun at
# once /health would wait for the others; with one, the loop has nothing to do while that one waits for Redis: 99 turns
# a second on two workers instead of 150.
_TURNS_AT_WORK = 3
_WITHOUT_FILES = "The files that are attached to this conversation cannot be read: it was answered without them."

logger = logging.getLogger(__name__)


class RunDeleted(Exception):
    """The conversation was deleted after the run was registered, and before it held the conversation."""


class Runner:
    """Runs turns over one compiled graph.

    Args:
        saver: where conversations are kept, for LangGraph.
        store: the same, for what LangGraph's interface lacks.
        retriever: gives what searches the index that serves now; a turn asks once and goes on with it.
        bots: how each of them answers.
        places: of the answers in long conversations.
        transcripts: what SQL keeps of conversations.
        answers: those to first questions; None where they are not to be given again.
        models: the model of each bot, which is asked for a turn.
        is_judged: whether a language model decides about sentences of which nothing else is certain.
        entailment: reads sentences with their passages, None where no such model is configured.
        tools: those that bots may name.
        attached_files: of conversations, which are searched for their questions.
        count_unread: how many documents of a tenant are still read.
        is_run_deleted: whether the conversation of a run was deleted since the run was registered.
        is_run_unwanted: whether it was, or the run was cancelled.
    """

    def __init__(
        self,
        saver: BaseCheckpointSaver[Any],
        *,
        store: ConversationStore,
        leases: Leases,
        retriever: Callable[[], Retriever],
        models: AnswerModels,
        bots: BotDirectory,
        places: AnswerPlaces,
        transcripts: Transcripts,
        answers: AnswerCache | None,
        is_judged: bool,
        entailment: Entailment | None,
        tools: ToolService,
        attached_files: AttachedFiles,
        count_unread: Callable[[Principal], Awaitable[int]],
        is_run_deleted: Callable[[str], Awaitable[bool]],
        is_run_unwanted: Callable[[str], Awaitable[bool]],
    ) -> None:
        self._store = store
        self._history = TurnHistory(store, saver, transcripts)
        self._places = places
        self._graph = compile_graph(saver)
        self._answers = answers
        self._is_judged, self._entailment, self._tools = is_judged, entailment, tools
        self._topics, self._is_run_deleted, self._is_run_unwanted = TopicFinder(), is_run_deleted, is_run_unwanted
        self._turn_limiter = TurnLimiter(_TURNS_AT_WORK)
        self._leases, self._retriever, self._models, self._bots = leases, retriever, models, bots
        self._attached_files, self._count_unread = attached_files, count_unread

    async def run(
        self,
        record: RunRecord,
        emit: Callable[[Event], None],
        *,
        keep_trace: Callable[[Trace], None],
        is_resumed: bool = False,
    ) -> list[Event]:
        """Take the conversation through one turn. Gives its last events: citations, and `done` with the whole result;
        or `waiting`, where the person has to approve a call of a tool first.

        *emit* is told the others: start, status, tool_start, tool_result, token, support. *is_resumed*: another worker
        has begun it, and may have come to its end. *keep_trace* is given what the answer is made from.

        Raises:
            Conflict: the conversation is busy, or has gone on without it.
            RunDeleted: the conversation was deleted meanwhile; nothing was done.
            RunSuperseded: another worker has taken the run over.
        """
        async with self._leases.hold(record.thread_id, record.id, takes_over=is_resumed) as lease:
            # Runs are in other slots than leases: they are asked only where some may have been deleted.
            if lease.was_deleted and await self._is_run_deleted(record.id):
                raise RunDeleted
            # Before anything is told: it may be refused, and sent again.
            before = None if is_resumed else await self._history.read_before(record, lease)
            emit(_describe_start(record))
            clock = StageClock(emit)
            outcome: TurnAnswer | Interrupt | None = (
                await self._history.find_answer(record, clock.note_event) if is_resumed else None
            )
            if outcome is None:
                before = await self._history.read_before(record, lease) if before is None else before
                outcome = await self._answer(record, lease, before, clock.note_event, keep_trace)
            if isinstance(outcome, Interrupt):
                return [{"type": "waiting", "run_id": record.id, "call": outcome.value}]
            persistence = self._store.persistence_of(record.thread_id)
            result = make_result(outcome.answer, record, clock, persistence=persistence)
            result[PARENT] = outcome.parent_run_id
        citations = ({"type": "citation", **citation} for citation in result["citations"])
        return [*citations, {"type": "done", **result}]

    async def _answer(
        self,
        record: RunRecord,
        lease: Lease,
        before: ChatState,
        emit: Callable[[Event], None],
        keep_trace: Callable[[Trace], None],
    ) -> TurnAnswer | Interrupt:
        bot = await self._bots.get(record.ctx, record.bot_version, record.model_version)
        attached = await self._load_attached(record, emit)
        async with self._models.hold(record.ctx, bot) as model, self._turn_limiter.hold() as place:
            context = self._make_context(record, bot, model, place, emit, attached)
            # Kept once, at the end, also when it fails: what the run is to do is in its record meanwhile. With tools it
            # is kept step by step: a call must be known before it is made.
            state = await self._graph.ainvoke(
                {**before, "messages": [*before.get("messages", ()), make_question(record)]},
                make_config(record.thread_id, lease.fence),
                context=context,
                durability="sync" if context.tools else "exit",
            )
        if interrupts := state.get("__interrupt__"):
            waiting: Interrupt = interrupts[0]
            return waiting
        await self._places.note(record.thread_id, state["messages"])
        answer = state["messages"][-1]
        if not isinstance(answer, AIMessage):
            raise TypeError("The graph ended without an answer.")
        keep_trace(make_trace(state))
        if self._tools.files and "file" in answer.additional_kwargs.get("artifacts", {}).get("data", ()):
            await asyncio.to_thread(self._tools.files.touch, find_folder(record.thread_id))
        return TurnAnswer(answer, find_parent(state["messages"], make_question(record)))

    async def _load_attached(self, record: RunRecord, emit: Callable[[Event], None]) -> AttachedPassages | None:
        """What is attached to the conversation; None where that cannot be read, and it is answered without."""
        try:
            return await self._attached_files.load(record.thread_id)
        except (NotReady, StoreUnavailable) as exc:
            logger.warning("Files that are attached to a conversation cannot be read: %s", exc.detail)
            emit({"type": "status", "stage": "retrieve", "degraded": _WITHOUT_FILES})
            return None

    def _make_context(
        self,
        record: RunRecord,
        bot: BotConfig,
        model: AnswerModel,
        place: Permit,
        emit: Callable[[Event], None],
        attached: AttachedPassages | None,
    ) -> AgentContext:
        retriever = self._retriever()
        judge = model.chat if self._is_judged and model.is_language_model else None
        return AgentContext(
            run_id=record.id,
            principal=record.ctx,
            emit=emit,
            retriever=retriever,
            model=model,
            bot=bot,
            streams=record.streams,
            place=place,
            # Answers that rest on files, or should, are of this conversation alone.
            cache_session=AnswerCacheSession() if attached is None or attached else self._cache_session(record, bot),
            attached=attached or NOTHING_ATTACHED,
            emotion=record.emotion,
            verifier=Verifier(retriever.embedder, judge, entailment=self._entailment),
            count_unread=self._count_unread,
            topics=self._topics,
            tools=self._open_tools(record, bot, model, attached or NOTHING_ATTACHED),
        )

    def _open_tools(
        self, record: RunRecord, bot: BotConfig, model: AnswerModel, attached: AttachedPassages
    ) -> TurnTools | None:
        return self._tools.open_turn(
            record.ctx,
            bot,
            Approval.read(record.approval),
            partial(self._is_durable, record.thread_id),
            partial(self._is_run_unwanted, record.id),
            model.find_language_model,
            data_source_id=record.data_source_id,
            thread_id=record.thread_id,
            attached=attached,
        )

    def _is_durable(self, thread_id: str) -> bool:
        return self._store.persistence_of(thread_id) == "redis"

    def _cache_session(self, record: RunRecord, bot: BotConfig) -> AnswerCacheSession:
        if self._answers is None or record.data_source_id or record.parent_run_id or has_tone(record.emotion):
            # asked again, for another answer; or answered in a tone of its own
            return AnswerCacheSession()
        return self._answers.open_session(record.ctx, bot, record.thread_id)

    def drop_conversation(self, thread_id: str) -> None:
        """Drop what this process holds of a conversation that was deleted."""
        self._store.forget_conversation(thread_id)
        if self._answers is not None:
            self._answers.forget(thread_id)


def _describe_start(record: RunRecord) -> Event:
    names = {"conversation_id": record.conversation_id, "request_id": record.request_id, "run_id": record.id}
    return {"type": "start", **names}

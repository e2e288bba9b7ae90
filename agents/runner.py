"""Takes a conversation through a turn: the lease, the graph, its events; and reads or forgets conversations."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol, cast

from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple

from agents.leases import Leases
from agents.messages import question_message, shown
from agents.rag import compile_graph
from agents.state import AgentContext, AnswerModel
from agents.turnstile import Place, Turnstile
from retrieval.search import Retriever
from utils.context import DEFAULT_TENANT, TenantContext
from utils.errors import NotFound, StoreUnavailable

Event = dict[str, Any]
# Turns that wait neither for a model nor for a search take the event loop one after the other. With 50 begun at once
# the 95th percentile of /health was 5 to 9 ms so, 9 to 16 with two at work and 60 with all; nobody was served later.
_TURNS_AT_WORK = 1


class ConversationStore(Protocol):
    """What the runner asks of the saver beyond LangGraph's interface."""

    @property
    def persistence(self) -> str:
        """Where conversations are kept now: "redis", or "memory" while it is away."""

    def persistence_of(self, thread_id: str) -> str:
        """Where this one is; in memory also after Redis is back, until its next turn."""

    async def ttl_s(self, thread_id: str) -> int | None:
        """Seconds the conversation has left, None where there is none."""

    async def adelete_thread(self, thread_id: str) -> None:
        """Forget the conversation."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One question in one conversation; `streams` if its tokens are wanted as they come."""

    conversation_id: str
    message: str
    request_id: str
    streams: bool = False


@dataclass(frozen=True, slots=True)
class Voice:
    """How answers speak: whose they are, and in which language."""

    institution: str
    language_policy: str


class Runner:
    """Runs turns over one compiled graph.

    Args:
        saver: where conversations are kept; also a `ConversationStore`.
    """

    def __init__(
        self, saver: Any, *, leases: Leases, retriever: Retriever, model: AnswerModel, voice: Voice, top_k: int
    ) -> None:
        self._saver: BaseCheckpointSaver[Any] = saver
        self._store: ConversationStore = saver
        self._graph = compile_graph(saver)
        self._turnstile = Turnstile(_TURNS_AT_WORK)
        self._leases, self._retriever, self._model, self._voice, self._top_k = leases, retriever, model, voice, top_k

    async def stream(self, ctx: TenantContext, turn: Turn) -> AsyncGenerator[Event, None]:
        """The events of one turn: start, status, token, citation, and last `done` with the whole result.

        The question is in the conversation from the first step on, also when the model then fails.

        Raises:
            Conflict: the conversation is busy.
            ProviderError: the model did not answer.
        """
        thread_id = thread_of(ctx, turn.conversation_id)
        async with self._leases.hold(thread_id):
            yield {"type": "start", "conversation_id": turn.conversation_id, "request_id": turn.request_id}
            clock, said = StageClock(), None
            async with aclosing(self._run(ctx, thread_id, turn)) as parts:
                async for kind, part in parts:
                    if kind == "custom":
                        clock.see(part)
                        yield part
                    else:
                        said = _answer_in(part) or said
            if said is None:
                raise RuntimeError("The graph ended without an answer.")
            result = self._result(said, turn, thread_id, clock)
        for citation in result["citations"]:
            yield {"type": "citation", **citation}
        yield {"type": "done", **result}

    async def _run(self, ctx: TenantContext, thread_id: str, turn: Turn) -> AsyncGenerator[tuple[str, Any], None]:
        async with self._turnstile.inside() as place:
            running = self._graph.astream(
                {"messages": [question_message(turn.message)]},
                _config(thread_id),
                context=self._context(ctx, turn, place),
                stream_mode=["custom", "updates"],
            )
            # Closed before the place and the lease are let go of, also when the client leaves.
            async with aclosing(cast(AsyncGenerator[tuple[str, Any], None], running)) as parts:
                async for part in parts:
                    yield part

    def _context(self, ctx: TenantContext, turn: Turn, place: Place) -> AgentContext:
        return AgentContext(
            tenant=ctx,
            retriever=self._retriever,
            model=self._model,
            institution=self._voice.institution,
            language_policy=self._voice.language_policy,
            top_k=self._top_k,
            streams=turn.streams,
            place=place,
        )

    async def conversation(self, ctx: TenantContext, conversation_id: str) -> dict[str, Any]:
        """The conversation as the API shows it.

        Raises:
            NotFound: there is none of this id for the caller.
            StoreUnavailable: it cannot be known while Redis is away.
        """
        thread_id = thread_of(ctx, conversation_id)
        # Asked first: when it says no, the answer is among the messages that are read afterwards.
        running = await self._leases.is_held(thread_id)
        found = await self._find(thread_id)
        messages = found.checkpoint["channel_values"].get("messages", [])
        return {
            "conversation_id": conversation_id,
            "messages": [shown(message) for message in messages],
            "expires_in_s": await self._store.ttl_s(thread_id),
            "persistence": self._store.persistence_of(thread_id),
            "running": running,
        }

    async def delete(self, ctx: TenantContext, conversation_id: str) -> None:
        """Forget the conversation.

        Raises:
            NotFound: there is none of this id for the caller.
            Conflict: it is being answered.
        """
        thread_id = thread_of(ctx, conversation_id)
        async with self._leases.hold(thread_id):
            await self._find(thread_id)
            await self._store.adelete_thread(thread_id)

    async def _find(self, thread_id: str) -> CheckpointTuple:
        found = await self._saver.aget_tuple(_config(thread_id))
        if found is not None:
            return found
        if self._store.persistence == "memory":
            raise StoreUnavailable("Redis is away, and conversations from before cannot be read. Try again later.")
        raise NotFound("There is no conversation of this id. It may have expired.")

    def _result(self, said: AIMessage, turn: Turn, thread_id: str, clock: "StageClock") -> dict[str, Any]:
        extra = said.additional_kwargs
        citations = extra["citations"]
        return {
            "answer": said.text,
            "response": said.text,
            "sources": ", ".join(dict.fromkeys(item["url"] or item["source"] for item in citations)),
            "citations": citations,
            "answered": extra["answered"],
            "language_model": extra["language_model"],
            "model": extra["model"],
            "conversation_id": turn.conversation_id,
            "session_id": turn.conversation_id,
            "metrics": clock.times_s(),
            "artifacts": {},
            "persistence": self._store.persistence_of(thread_id),
            "degraded": clock.degraded,
            "request_id": turn.request_id,
        }


class StageClock:
    """Times the stages of a turn by their `status` events."""

    def __init__(self) -> None:
        self._began_s = self._stage_began_s = time.perf_counter()
        self._stage: str | None = None
        self._spent_s: dict[str, float] = {}
        self.degraded: str | None = None

    def see(self, event: Event) -> None:
        """Note a stage's begin, and what it says is missing."""
        if event["type"] == "status":
            self.degraded = event.get("degraded", self.degraded)
            self._close_stage()
            self._stage = event["stage"]

    def times_s(self) -> dict[str, float]:
        """Seconds by stage, as `<stage>_time`, and `total_time`."""
        self._close_stage()
        times = {f"{stage}_time": round(spent_s, 4) for stage, spent_s in self._spent_s.items()}
        return {**times, "total_time": round(time.perf_counter() - self._began_s, 4)}

    def _close_stage(self) -> None:
        now_s = time.perf_counter()
        if self._stage:
            self._spent_s[self._stage] = self._spent_s.get(self._stage, 0.0) + now_s - self._stage_began_s
        self._stage_began_s = now_s


def thread_of(ctx: TenantContext, conversation_id: str) -> str:
    """The id a conversation is kept under; a dot cannot stand in a conversation id, so no id reaches another tenant."""
    return conversation_id if ctx.tenant_id == DEFAULT_TENANT else f"{ctx.tenant_id}.{conversation_id}"


def _config(thread_id: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}


def _answer_in(update: dict[str, Any]) -> AIMessage | None:
    for written in update.values():
        for message in (written or {}).get("messages", []):
            if isinstance(message, AIMessage):
                return message
    return None

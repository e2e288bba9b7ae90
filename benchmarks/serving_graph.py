"""A graph alone, with LangGraph's saver in memory: no HTTP, no Redis, no search; passages are the same few always.

    python -m benchmarks.serving_graph MODEL_URL         for each line read: CPU ms of a turn of each graph, as JSON

`bare`: three nodes with ChatOpenAI, as anybody would write them. `ours`: the service's nodes and its model client.
`ours_embedding`: the same with the embedding call that a search begins with.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, fields
from typing import Annotated, Any, TypedDict, cast
from uuid import uuid4

import uvloop
from langchain_core.messages import AnyMessage, HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph, add_messages
from langgraph.graph.state import CompiledStateGraph
from pydantic import SecretStr

from agents.answer_cache import AnswerCacheSession
from agents.messages import make_question_message
from agents.rag import compile_graph
from agents.state import AgentContext
from agents.topics import TopicFinder
from agents.turn_limiter import TurnLimiter
from agents.verification.verifier import Verifier
from auth.credentials import make_key_principal
from auth.principal import Principal
from bootstrap.bots import make_default_bot
from bootstrap.models import open_answer_model, open_embedder
from config import Settings
from retrieval.answerability import is_answerable
from retrieval.index import ALL, Filters, PassageIndex
from retrieval.search import PLAIN, Retriever, SearchOptions, SearchResult
from utils.observers import ModelObservers
from utils.passages import Hit, Passage
from utils.ports import Embedder, FloatArray

_QUESTION = "How much does a dormitory room cost?"
_TEXT = "How much a room costs depends on the house. A room in the dormitory costs IDR 1,200,000 a month. " * 6
_AT_ONCE, _TURNS = 32, 100


async def _count_none(_: Principal) -> int:
    return 0


class SameHits:
    """A `PassageIndex` as far as searching goes."""

    is_whole = True

    def __init__(self) -> None:
        passages = [
            Passage(f"p{n}", f"d{n}", "Housing", "housing.md", None, None, "Rooms", 0, len(_TEXT), "en", _TEXT)
            for n in range(6)
        ]
        self._hits = [Hit(passage, 0.9, 0.9, 10.0) for passage in passages]

    async def search(
        self,
        ctx: Principal,
        question: str,
        vector: FloatArray | None,
        *,
        limit: int,
        filters: Filters = ALL,
    ) -> Sequence[Hit]:
        """The hits."""
        return self._hits[:limit]


class BareState(TypedDict, total=False):
    """What the nodes of `bare_graph` hand on."""

    messages: Annotated[list[AnyMessage], add_messages]
    query: str
    passages: list[str]


@dataclass(frozen=True, slots=True)
class NotEmbedding:
    """A `Retriever` that asks no embedding model."""

    embedder: Embedder
    index: SameHits

    async def search(
        self, ctx: Principal, question: str, *, limit: int, options: SearchOptions = PLAIN
    ) -> SearchResult:
        """The hits."""
        hits = await self.index.search(ctx, question, None, limit=limit)
        return SearchResult(hits, None, is_answerable(question, hits, model=self.embedder.model), [])


def bare_graph(model_url: str) -> CompiledStateGraph[Any, Any, Any, Any]:
    """Three nodes, the last of which asks ChatOpenAI as it comes."""
    model = ChatOpenAI(model="fake", base_url=model_url, api_key=SecretStr("none"))

    async def rewrite(state: BareState) -> BareState:
        return {"query": state["messages"][-1].text}

    async def retrieve(state: BareState) -> BareState:
        return {"passages": [_TEXT] * 6}

    async def answer(state: BareState) -> BareState:
        passages = SystemMessage("\n\n".join(state["passages"]))
        return {"messages": [await model.ainvoke([passages, *state["messages"]])]}

    graph = StateGraph(BareState)
    graph.add_sequence([rewrite, retrieve, answer])
    graph.add_edge(START, "rewrite")
    return graph.compile(checkpointer=InMemorySaver())


async def measure(settings: Settings) -> None:
    """Print the CPU milliseconds a turn for each line that is read."""
    async with AsyncExitStack() as stack:
        embedder = await open_embedder(stack, settings)
        model = await open_answer_model(stack, settings, embedder, ModelObservers())
        index, graph, turn_limiter = SameHits(), compile_graph(InMemorySaver()), TurnLimiter(1)

        bare = bare_graph(str(settings.llm_base_url))

        async def bare_turn(name: str) -> None:
            asked: Any = {"messages": [HumanMessage(_QUESTION)]}
            await bare.ainvoke(asked, {"configurable": {"thread_id": name}})

        def ours(retriever: object) -> Callable[[str], Awaitable[None]]:
            async def turn(name: str) -> None:
                async with turn_limiter.hold() as place:
                    known = {
                        "run_id": name,
                        "emit": lambda event: None,
                        "cache_session": AnswerCacheSession(),
                        "principal": make_key_principal("default", "benchmark"),
                        "retriever": retriever,
                        "model": model,
                        "bot": make_default_bot(settings),
                        "streams": False,
                        "place": place,
                        "verifier": Verifier(embedder),
                        "topics": TopicFinder(),
                        "count_unread": _count_none,
                    }
                    members = [each.name for each in fields(AgentContext) if each.name in known]
                    context = AgentContext(**{name: known[name] for name in members})  # type: ignore[arg-type]  # by name
                    asked: Any = {"messages": [make_question_message(_QUESTION, name)]}
                    await graph.ainvoke(asked, {"configurable": {"thread_id": name}}, context=context)

            return turn

        kinds = {
            "bare": bare_turn,
            "ours": ours(NotEmbedding(embedder, index)),
            "ours_embedding": ours(Retriever(embedder, cast(PassageIndex, index))),
        }
        while await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps({kind: await cpu_ms(turn) for kind, turn in kinds.items()}), flush=True)


async def cpu_ms(turn: Callable[[str], Awaitable[None]]) -> float:
    """Of one turn of some, in conversations of their own, `_AT_ONCE` at a time."""
    began_s, names = time.process_time(), (str(uuid4()) for _ in range(_TURNS))

    async def visit() -> None:
        for name in names:
            await turn(name)

    await asyncio.gather(*(visit() for _ in range(_AT_ONCE)))
    return round((time.process_time() - began_s) / _TURNS * 1000, 2)


def main() -> None:
    """Measure when asked."""
    url = sys.argv[1]
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]  # pydantic-settings' own
        llm_base_url=url,
        llm_model="fake",
        embedding_provider="openai",
        embedding_base_url=url,
        embedding_model="fake-embedding",
        embedding_dimension=384,
    )
    uvloop.run(measure(settings))


if __name__ == "__main__":
    main()

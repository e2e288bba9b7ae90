"""The service's graph alone: its nodes, its model client, LangGraph's saver in memory; no HTTP, no Redis, no search.

    python -m benchmarks.serving_graph MODEL_URL        prints {"with_embedding": CPU ms a turn, "without": …}

Passages are the same few for every question; with the embedding call that a search begins with, and without.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, fields
from typing import Any, cast

import uvloop
from langgraph.checkpoint.memory import InMemorySaver

from agents.answer_cache import Recollection
from agents.messages import question_message
from agents.rag import compile_graph
from agents.state import AgentContext
from agents.turnstile import Turnstile
from bootstrap.models import open_answer_model, open_embedder
from config import Settings
from retrieval.index import PassageIndex
from retrieval.search import Found, Retriever
from utils.context import TenantContext
from utils.passages import Hit, Passage
from utils.ports import Embedder, FloatArray, UnobservedModel

_QUESTION = "How much does a dormitory room cost?"
_TEXT = "How much a room costs depends on the house. A room in the dormitory costs IDR 1,200,000 a month. " * 6
_AT_ONCE, _TURNS, _ROUNDS = 32, 200, 3


class SameHits:
    """A `PassageIndex` as far as searching goes."""

    def __init__(self) -> None:
        passages = [
            Passage(f"p{n}", f"d{n}", "Housing", "housing.md", None, None, "Rooms", 0, len(_TEXT), "en", _TEXT)
            for n in range(6)
        ]
        self._hits = [Hit(passage, 0.9, 0.9, 10.0) for passage in passages]

    async def search(
        self, ctx: TenantContext, question: str, vector: FloatArray | None, *, limit: int
    ) -> Sequence[Hit]:
        """The hits."""
        return self._hits[:limit]


@dataclass(frozen=True, slots=True)
class NotEmbedding:
    """A `Retriever` that asks no embedding model."""

    embedder: Embedder
    index: SameHits

    async def search(self, ctx: TenantContext, question: str, *, limit: int) -> Found:
        """The hits."""
        return Found(await self.index.search(ctx, question, None, limit=limit), None)


async def measure(settings: Settings) -> dict[str, float]:
    """CPU milliseconds a turn, the best of a few rounds."""
    async with AsyncExitStack() as stack:
        embedder = await open_embedder(stack, settings)
        model = await open_answer_model(stack, settings, embedder, UnobservedModel())
        index, graph, turnstile = SameHits(), compile_graph(InMemorySaver()), Turnstile(1)

        async def turn(name: str, retriever: object) -> None:
            async with turnstile.inside() as place:
                known = {
                    "run_id": name,
                    "emit": lambda event: None,
                    "recollection": Recollection(),
                    "tenant": TenantContext("default", "benchmark"),
                    "retriever": retriever,
                    "model": model,
                    "institution": "",
                    "language_policy": settings.language_policy,
                    "top_k": settings.top_k,
                    "streams": False,
                    "place": place,
                }
                context = AgentContext(**{each.name: known[each.name] for each in fields(AgentContext)})  # type: ignore[arg-type]  # by name
                asked: Any = {"messages": [question_message(_QUESTION, name)]}
                await graph.ainvoke(asked, {"configurable": {"thread_id": name}}, context=context)

        async def cost(kind: str, retriever: object) -> float:
            best_ms = float("inf")
            for number in range(_ROUNDS):
                waiting, began_s = iter(range(_TURNS)), time.process_time()

                async def visit(number: int = number, waiting: Any = waiting) -> None:
                    for each in waiting:
                        await turn(f"{kind}-{number}-{each}", retriever)

                await asyncio.gather(*(visit() for _ in range(_AT_ONCE)))
                best_ms = min(best_ms, (time.process_time() - began_s) / _TURNS * 1000)
            return round(best_ms, 2)

        searching = Retriever(embedder, cast(PassageIndex, index))
        return {
            "with_embedding": await cost("with", searching),
            "without": await cost("without", NotEmbedding(embedder, index)),
        }


def main() -> None:
    """Measure and print."""
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
    print(json.dumps(uvloop.run(measure(settings))))


if __name__ == "__main__":
    main()

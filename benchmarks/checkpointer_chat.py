"""The conversations of the checkpointer benchmark: what is said, and the graph that keeps it.

A question of 600 characters, an answer of 1.5 KB with what a chat model's reply carries besides, six passages of 1 KB:
three nodes, so that LangGraph stores five checkpoints and four times writes in a turn, and reads once.
"""

import random
import re
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph, add_messages
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Durability

QUESTION_CHARS, ANSWER_CHARS, PASSAGE_CHARS, PASSAGES = 600, 1500, 1000, 6
_SAMPLES = Path(__file__).resolve().parent.parent / "samples"


class _State(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    query: str
    passages: list[dict[str, Any]]


class Prose:
    """Text of an exact length that compresses like prose: the words of the sample documents, in an order by chance."""

    def __init__(self, seed: int) -> None:
        text = " ".join(path.read_text() for path in sorted(_SAMPLES.glob("*.md")))
        self._words, self._chance = re.findall(r"\S+", text), random.Random(seed)

    def of(self, chars: int) -> str:
        """A new text of *chars* characters."""
        return " ".join(self._chance.choices(self._words, k=chars // 3))[:chars]


class Chat:
    """Conversations over *saver*, none of which waits for anything but the saver."""

    def __init__(self, saver: BaseCheckpointSaver[Any], *, durability: Durability = "async", seed: int = 2026) -> None:
        self.saver, self._durability, self._prose = saver, durability, Prose(seed)
        graph = StateGraph(_State)
        graph.add_node("rewrite", self._rewrite)
        graph.add_node("retrieve", self._retrieve)
        graph.add_node("answer", self._answer)
        graph.add_edge(START, "rewrite")
        graph.add_edge("rewrite", "retrieve")
        graph.add_edge("retrieve", "answer")
        graph.add_edge("answer", END)
        self._graph: CompiledStateGraph[Any, Any, Any, Any] = graph.compile(checkpointer=saver)

    async def turn(self, thread_id: str, number: int) -> None:
        """One turn; *number* counts from 1.

        Raises:
            AssertionError: the conversation is not what *number* - 1 turns leave.
        """
        said = HumanMessage(self._prose.of(QUESTION_CHARS))
        state = await self._graph.ainvoke({"messages": [said]}, config(thread_id), durability=self._durability)
        assert len(state["messages"]) == 2 * number, f"{len(state['messages'])} messages after turn {number}"

    async def _rewrite(self, state: _State) -> dict[str, Any]:
        return {"query": state["messages"][-1].text[:200]}

    async def _retrieve(self, state: _State) -> dict[str, Any]:
        found = [{"id": f"p{rank}", "rank": rank, "text": self._prose.of(PASSAGE_CHARS)} for rank in range(PASSAGES)]
        return {"passages": found}

    async def _answer(self, state: _State) -> dict[str, Any]:
        answer = AIMessage(
            self._prose.of(ANSWER_CHARS),
            response_metadata={"model_name": "a-chat-model", "finish_reason": "stop"},
            usage_metadata={"input_tokens": 2000, "output_tokens": 300, "total_tokens": 2300},
        )
        return {"messages": [answer]}


def config(thread_id: str) -> Any:
    """How LangGraph is told which conversation is meant."""
    return {"configurable": {"thread_id": thread_id}}


def read_config(thread_id: str) -> Any:
    """The same for a saver that is called without a graph, which gives it the namespace, too."""
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}

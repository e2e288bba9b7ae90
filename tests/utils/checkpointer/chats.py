"""A chat graph and its turns, for tests of what becomes of conversations."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, RemoveMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph, add_messages
from langgraph.graph.state import CompiledStateGraph

from utils.checkpointer import RedisCheckpointer

TENANTS = ("", "acme.")  # what the thread ids of two tenants begin with


class _State(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]
    mood: str


class Chat:
    """Conversations of two steps a turn over *saver*.

    `during_answer` happens in the middle of each; `removing` are ids of messages that answers remove.
    """

    def __init__(self, saver: BaseCheckpointSaver[Any]) -> None:
        self.during_answer: Callable[[], Awaitable[None]] = _nothing
        self.removing: list[str] = []
        graph = StateGraph(_State)
        graph.add_node("listen", self._listen)
        graph.add_node("answer", self._answer)
        graph.add_edge(START, "listen")
        graph.add_edge("listen", "answer")
        graph.add_edge("answer", END)
        self._graph: CompiledStateGraph[Any, Any, Any, Any] = graph.compile(checkpointer=saver)

    async def say(self, text: str, thread_id: str = "a") -> list[str]:
        """One turn; the texts of all messages afterwards. The answer repeats what was said."""
        said = HumanMessage(text, additional_kwargs={"created_at": datetime.now(UTC).isoformat()})
        state = await self._graph.ainvoke({"messages": [said]}, {"configurable": {"thread_id": thread_id}})
        return [message.text for message in state["messages"]]

    def _listen(self, state: _State) -> dict[str, Any]:
        return {"mood": "calm"} if "mood" not in state else {}

    async def _answer(self, state: _State) -> dict[str, Any]:
        await self.during_answer()
        removed = [RemoveMessage(found) for found in self.removing]
        return {"messages": [*removed, AIMessage(f"re {state['messages'][-1].text}")]}


async def texts(saver: BaseCheckpointSaver[Any], thread_id: str = "a") -> list[str]:
    """The texts of all messages as *saver* has them."""
    found = await saver.aget_tuple({"configurable": {"thread_id": thread_id}})
    return [message.text for message in found.checkpoint["channel_values"].get("messages", [])] if found else []


def turns(*said: str) -> list[str]:
    """The texts of a conversation in which this was said."""
    return [text for one in said for text in (one, f"re {one}")]


def forget(saver: RedisCheckpointer, *thread_ids: str) -> None:
    """Make *saver* know as little of these conversations as a process that has just begun."""
    for thread_id in thread_ids:
        saver.cache.forget(thread_id)


async def _nothing() -> None:
    """What usually happens."""

"""What a project does that has installed the checkpointer alone: run by its Python, with none of our packages beside.

    python other_project.py unix:///path/to/valkey.sock

Prints, as JSON, how many tests of LangGraph's conformance suite pass and what an agent remembers over three turns.
"""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.capabilities import Capability
from pustaka_checkpointer import RedisCheckpointer, StateUnreadable, TypeNotAllowed
from pydantic import BaseModel

TURNS = 3


class Answer(BaseModel):
    """What the agent is to answer with."""

    text: str


class _Model(FakeMessagesListChatModel):
    """Answers each turn with the tool call that stands for an `Answer`."""

    def bind_tools(self, *_: Any, **__: Any) -> "_Model":
        """The tools are known."""
        return self


async def conformance(url: str) -> dict[str, list[int]]:
    """Passed and failed tests by capability."""
    async with RedisCheckpointer.from_conn_string(url, ttl_s=600) as saver:

        @checkpointer_test(name="RedisCheckpointer")
        async def factory() -> AsyncGenerator[RedisCheckpointer, None]:
            yield saver

        found = {}
        for capability in Capability:
            report = await validate(factory, capabilities={capability.value})
            result = report.results[capability.value]
            found[capability.value] = [result.tests_passed, result.tests_failed]
        return found


def talk(url: str, thread_id: str, **options: Any) -> list[str]:
    """The structured responses of three turns, each by a saver of its own, as three workers would give them."""
    config: Any = {"configurable": {"thread_id": thread_id}}
    said = []
    for turn in range(TURNS):
        call = {"name": "Answer", "args": {"text": f"answer {turn}"}, "id": f"call-{turn}"}
        model = _Model(responses=[AIMessage("", tool_calls=[call])])
        with RedisCheckpointer.from_url(url, ttl_s=600, **options) as saver:
            agent: Any = create_agent(model, [], response_format=Answer, checkpointer=saver)
            state = agent.invoke({"messages": [("user", f"question {turn}")]}, config)
        questions = [message.text for message in state["messages"] if message.type == "human"]
        assert questions == [f"question {number}" for number in range(turn + 1)], questions
        said.append(state["structured_response"].text)
    return said


def refusal(url: str) -> str:
    """What is said of a class that nobody has named."""
    try:
        talk(url, "unnamed")
    except (TypeNotAllowed, StateUnreadable) as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


if __name__ == "__main__":
    address = sys.argv[1]
    report = {
        "conformance": asyncio.run(conformance(address)),
        "answers": talk(address, "named", allowed_types=[Answer]),
        "refusal": refusal(address),
    }
    print(json.dumps(report))

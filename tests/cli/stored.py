"""Stored conversations of two tenants, and the command that looks after them."""

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
import redis
from click.testing import Result
from flask import Flask
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph, add_messages
from langgraph.types import Command, interrupt

from cli.commands import register_commands
from config import load_settings
from tests.servers.redis import RedisServer
from utils.checkpointer import RedisCheckpointer
from utils.checkpointer.cipher import Keyring

Run = Callable[..., Result]
TTL_S = 3600
SAID = "the visitor's own words, which no table shows"
THREADS = ("x", "acme.x")  # one conversation id, two tenants
OLD, NEW = (f"{name}:{base64.b64encode(bytes([seed] * 32)).decode()}" for name, seed in (("old", 1), ("new", 2)))
ROTATING = f"{NEW},{OLD}"


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server with a password."""
    with RedisServer(tmp_path_factory.mktemp("state"), password="s3cret-of-redis") as server:
        yield server


@pytest.fixture
def client(redis_server: RedisServer) -> redis.Redis:
    """Behind the command's back; the server is empty."""
    redis_server.client.flushall()
    return redis_server.client


class _State(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]
    context: str


def command(tmp_path: Path, address: str | None, *, keys: str = "") -> Run:
    """`flask state …` of an installation whose conversations are at *address*."""
    app = Flask("pustaka")
    app.extensions["settings"] = load_settings(
        _env_file=None, data_dir=tmp_path / "data", redis_url=address, state_encryption_keys=keys or None
    )
    register_commands(app)
    return lambda *arguments, **more: app.test_cli_runner().invoke(args=["state", *map(str, arguments)], **more)


def converse(url: str, *threads: str, turns: int = 2, keys: str = "") -> None:
    """Conversations of some turns, left in the middle of the last by an interrupt, and with an hour to live."""
    with _chat(url, turns, keys) as chat:
        for thread_id in threads:
            for turn in range(turns):
                said = HumanMessage(f"{SAID} {turn} of {thread_id}", id=f"q{turn}")
                chat.invoke({"messages": [said]}, _config(thread_id))


def go_on(url: str, thread_id: str, *, turns: int = 2, keys: str = "") -> list[str]:
    """Answer the interrupt that `converse` left; gives everything that was said, and the answer."""
    with _chat(url, turns, keys) as chat:
        state = chat.invoke(Command(resume="It is so."), _config(thread_id))
        return [*(message.text for message in state["messages"]), state["context"]]


@contextmanager
def _chat(url: str, turns: int, keys: str) -> Iterator[Any]:
    saver = RedisCheckpointer.from_url(url, ttl_s=TTL_S, keys=Keyring.parse(keys) if keys else None)
    graph = StateGraph(_State)
    graph.add_node("answer", lambda state: {"messages": [AIMessage("re " + SAID)], "context": SAID * 40})
    graph.add_node("ask", lambda state: {"context": interrupt("Is that so?")})
    graph.add_conditional_edges("answer", lambda state: "ask" if len(state["messages"]) == 2 * turns else END)
    graph.add_edge(START, "answer")
    yield graph.compile(checkpointer=saver)
    saver.close()


def _config(thread_id: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread_id}}

"""Real graphs over the saver, against the same graphs over LangGraph's in-memory saver."""

import operator
from collections.abc import Callable
from itertools import chain
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, RemoveMessage
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph, add_messages
from langgraph.types import Command, Send, interrupt

from utils.checkpointer import RedisCheckpointer


class Inner(TypedDict):
    notes: Annotated[list[str], operator.add]


class State(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]
    found: Annotated[list[str], operator.add]
    notes: Annotated[list[str], operator.add]
    approved: bool


def asks(state: State) -> dict[str, Any]:
    return {"approved": interrupt({"question": "May I?", "so far": len(state["messages"])})}


def fan_out(state: State) -> list[Send]:
    return [Send("search", {"found": [str(n)]}) for n in range(5)]


def search(state: State) -> dict[str, Any]:
    return {"found": [f"passage {state['found'][0]} " * 20]}


def answer(state: State) -> dict[str, Any]:
    return {"messages": [AIMessage(f"{len(state['messages'])} {len(state['found'])} {state['approved']}")]}


def compiled(saver: Any) -> Any:
    inner = StateGraph(Inner)
    inner.add_node("note", lambda state: {"notes": ["noted " * 30]})
    inner.add_edge(START, "note")
    graph = StateGraph(State)
    graph.add_node("asks", asks)
    graph.add_node("search", search)
    graph.add_node("inner", inner.compile(checkpointer=True))
    graph.add_node("answer", answer)
    graph.add_edge(START, "asks")
    graph.add_conditional_edges("asks", fan_out, ["search"])
    graph.add_edge("search", "inner")
    graph.add_edge("inner", "answer")
    graph.add_edge("answer", END)
    return graph.compile(checkpointer=saver)


def shown(state: Any) -> Any:
    """What a state holds, without the ids that are made up anew in every run."""
    values = dict(state.values)
    values["messages"] = [(message.type, message.content) for message in values.get("messages", [])]
    return values, state.next, state.metadata["source"], state.metadata["step"]


async def story(graph: Any, durability: str) -> list[Any]:
    """Two turns, each with a question to the user; then the past is looked at, changed and continued from there."""
    config: Any = {"configurable": {"thread_id": "a"}}
    seen = []
    for text, approved in (("one", True), ("two", False)):
        await graph.ainvoke({"messages": [HumanMessage(text)]}, config, durability=durability)
        seen.append(shown(await graph.aget_state(config)))
        await graph.ainvoke(Command(resume=approved), config, durability=durability)
        seen.append(shown(await graph.aget_state(config)))
    history = [state async for state in graph.aget_state_history(config)]
    seen += [shown(state) for state in history]
    first_end = next(state for state in reversed(history) if not state.next and state.values.get("messages"))
    first = first_end.values["messages"][0]
    changes = {"messages": [RemoveMessage(first.id), HumanMessage("rather this")]}
    forked = await graph.aupdate_state(first_end.config, changes, as_node="answer")
    seen.append(shown(await graph.aget_state(forked)))
    await graph.ainvoke({"messages": [HumanMessage("three")]}, forked, durability=durability)
    await graph.ainvoke(Command(resume=True), config, durability=durability)
    return [*seen, shown(await graph.aget_state(config))]


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
async def test_interrupts_subgraphs_fan_out_and_forks_end_as_in_memory(
    saver: RedisCheckpointer, durability: str
) -> None:
    expected = await story(compiled(InMemorySaver()), durability)
    assert await story(compiled(saver), durability) == expected


class Trip(TypedDict):
    seen: Annotated[list[str], operator.add]
    word: str


def inner_trip(*, remembers: bool) -> Any:
    """A subgraph that asks the user in its middle; one that remembers keeps its state from turn to turn."""
    graph = StateGraph(Trip)
    graph.add_node("first", lambda state: {"seen": [f"inside after {len(state['seen'])}"]})
    graph.add_node("asks", lambda state: {"word": interrupt({"so far": len(state["seen"])})})
    graph.add_edge(START, "first")
    graph.add_edge("first", "asks")
    return graph.compile(checkpointer=remembers or None)


def trip(saver: Any, *, remembers: bool) -> Any:
    graph = StateGraph(Trip)
    graph.add_node("asks", lambda state: {"word": interrupt("which way?")})
    graph.add_node("send", lambda state: {"seen": [f"sent {state['seen'][0]}"]})
    graph.add_node("inside", inner_trip(remembers=remembers))
    graph.add_node("last", lambda state: {"seen": [f"{state['word']} after {len(state['seen'])}"]})
    graph.add_edge(START, "asks")
    graph.add_conditional_edges("asks", lambda state: [Send("send", {"seen": [str(n)]}) for n in range(3)], ["send"])
    graph.add_edge("send", "inside")
    graph.add_edge("inside", "last")
    graph.add_edge("last", END)
    return graph.compile(checkpointer=saver)


async def travel(graph: Any, thread_id: str, durability: str) -> list[Any]:
    """Turns that ask twice each; then the past is continued in every way that LangGraph has for it."""
    config: Any = {"configurable": {"thread_id": thread_id}}
    told: list[Any] = []

    async def go(given: Any, at: Any = config) -> None:
        await graph.ainvoke(given, at, durability=durability)
        while (state := await graph.aget_state(config, subgraphs=True)).next:
            told.append(
                (state.values, state.next, [task.interrupts and task.interrupts[0].value for task in state.tasks])
            )
            await graph.ainvoke(Command(resume=f"answer {len(told)}"), config, durability=durability)
        told.append((state.values, state.metadata["source"], state.metadata["step"]))

    for text in ("one", "two"):
        await go({"seen": [f"{text} of {thread_id}"]})
    past = [state async for state in graph.aget_state_history(config)]
    ended = [state for state in past if not state.next][-1]
    await go({"seen": ["instead"]}, ended.config)
    for state in [state for state in past if state.next][::2]:
        await go(None, state.config)
    for state in [state for state in past if any(task.interrupts for task in state.tasks)]:
        await go(Command(resume="another answer"), state.config)
    await go(Command(update={"seen": ["told to"]}, goto="last"), ended.config)
    await go({"seen": ["on a branch"]}, await graph.aupdate_state(past[-2].config, {"seen": ["changed"]}))
    return [*told, *[(s.values, s.next, s.metadata["source"]) async for s in graph.aget_state_history(config)]]


@pytest.mark.long
@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
@pytest.mark.parametrize("remembers", [False, True], ids=["plain subgraph", "persistent subgraph"])
async def test_time_travel_ends_as_in_memory(saver: RedisCheckpointer, durability: str, remembers: bool) -> None:
    theirs, ours = trip(InMemorySaver(), remembers=remembers), trip(saver, remembers=remembers)
    for thread_id in ("a", "acme.a"):
        assert await travel(ours, thread_id, durability) == await travel(theirs, thread_id, durability)


async def test_a_conversation_goes_on_in_another_process_and_interface(saver: RedisCheckpointer, server: Any) -> None:
    config: Any = {"configurable": {"thread_id": "a"}}
    await compiled(saver).ainvoke({"messages": [HumanMessage("one")]}, config)
    other = RedisCheckpointer.from_url(server.url, ttl_s=600)
    compiled(other).invoke(Command(resume=True), config)
    state = await compiled(saver).aget_state(config)
    assert [message.text for message in state.values["messages"]] == ["one", "1 5 True"]
    other.close()


def appended(state: list[str] | None, writes: list[list[str]]) -> list[str]:
    return [*(state or []), *chain.from_iterable(writes)]


class Log(TypedDict):
    lines: Annotated[list[str], DeltaChannel(appended, list, snapshot_frequency=4)]
    n: int


def logging_graph(saver: Any) -> Any:
    graph = StateGraph(Log)
    graph.add_node("write", lambda state: {"lines": [f"line {state['n']}"]})
    graph.add_edge(START, "write")
    return graph.compile(checkpointer=saver)


@pytest.mark.parametrize("turns", [1, 2, 3, 5, 6, 9])
async def test_a_delta_channel_is_rebuilt_also_after_pruning(saver: RedisCheckpointer, turns: int) -> None:
    graph = logging_graph(saver)
    config: Any = {"configurable": {"thread_id": "a"}}
    expected = []
    for n in range(turns):
        await graph.ainvoke({"n": n}, config)
        expected.append(f"line {n}")
    assert (await graph.aget_state(config)).values["lines"] == expected
    before = len([found async for found in saver.alist(config)])
    await saver.aprune(["a"])
    assert (await graph.aget_state(config)).values["lines"] == expected
    assert len([found async for found in saver.alist(config)]) <= min(before, 2 + 4 * 3)
    await graph.ainvoke({"n": turns}, config)
    assert (await graph.aget_state(config)).values["lines"] == [*expected, f"line {turns}"]


async def test_an_endless_conversation_does_not_copy_its_past(saver: RedisCheckpointer, server: Any) -> None:
    graph = StateGraph(State)
    graph.add_node("answer", lambda state: {"messages": [AIMessage("because " * 100)]})
    graph.add_edge(START, "answer")
    chat: Callable[..., Any] = graph.compile(checkpointer=saver).invoke
    sizes = []
    for turn in range(40):
        chat({"messages": [HumanMessage(f"why {turn}? " * 20)]}, {"configurable": {"thread_id": "a"}})
        # What is stored, not what the server sets aside for it: its table grows by doubling.
        sizes.append(sum(map(len, chain.from_iterable(server.client.hgetall("state:{checkpoint:a}").items()))))
    assert sizes[39] - sizes[29] < 1.1 * (sizes[19] - sizes[9])

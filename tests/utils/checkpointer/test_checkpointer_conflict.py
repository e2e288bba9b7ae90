"""Two runs that go on from one checkpoint: the second is refused, unless it means to make a fork."""

import operator
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.base import Checkpoint, empty_checkpoint
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send, interrupt

from tests.servers.cutting import CuttingProxy
from tests.utils.checkpointer.chats import TENANTS
from tests.utils.checkpointer.conftest import TTL_S, Server
from utils.checkpointer import RedisCheckpointer
from utils.checkpointer.errors import CheckpointConflict, RunSuperseded
from utils.checkpointer.keys import FENCE

THREADS = [tenant + "x" for tenant in TENANTS]


def named(thread_id: str, checkpoint_id: str | None = None) -> Any:
    names = {"thread_id": thread_id, "checkpoint_ns": ""}
    return {"configurable": names | ({"checkpoint_id": checkpoint_id} if checkpoint_id else {})}


def step(number: int, said: str) -> tuple[Checkpoint, Any, Any]:
    """The checkpoint of a step, its metadata and its new versions."""
    checkpoint = empty_checkpoint()
    checkpoint["channel_values"], checkpoint["channel_versions"] = {"said": [said]}, {"said": number + 2}
    return (
        checkpoint,
        {"source": "input" if number < 0 else "loop", "step": number, "parents": {}},
        {"said": number + 2},
    )


def stored(server: Server, thread_id: str) -> tuple[Any, Any]:
    """Everything that Redis has of a conversation."""
    return server.client.hgetall(f"state:{{checkpoint:{thread_id}}}"), server.client.get(f"checkpoint:{thread_id}")


@pytest.fixture
async def two(server: Server) -> AsyncIterator[tuple[RedisCheckpointer, RedisCheckpointer]]:
    """Savers that know nothing of each other, like those of two workers."""
    made = [RedisCheckpointer.from_url(server.url, ttl_s=TTL_S, keep=None) for _ in range(2)]
    yield made[0], made[1]
    for saver in made:
        await saver.aclose()


Two = tuple[RedisCheckpointer, RedisCheckpointer]

# ---- the saver


async def test_the_second_of_two_that_go_on_is_refused_and_changes_nothing(server: Server, two: Two) -> None:
    firsts = {thread_id: await two[0].aput(named(thread_id), *step(-1, thread_id)) for thread_id in THREADS}
    for thread_id in THREADS:
        assert await two[1].aget_tuple(named(thread_id)) is not None
    newest = await two[0].aput(firsts["x"], *step(0, "one"))
    before = {thread_id: stored(server, thread_id) for thread_id in THREADS}
    with pytest.raises(CheckpointConflict) as refused:
        await two[1].aput(firsts["x"], *step(0, "another"))
    assert refused.value.status == 409
    assert refused.value.expected == firsts["x"]["configurable"]["checkpoint_id"]
    assert refused.value.found == newest["configurable"]["checkpoint_id"]
    assert {thread_id: stored(server, thread_id) for thread_id in THREADS} == before
    await two[1].aput(firsts["acme.x"], *step(0, "another's"))


@pytest.mark.parametrize("has_written", [False, True], ids=["has the lease", "has written"])
async def test_who_writes_under_a_lease_that_another_has_now_is_refused(
    server: Server, two: Two, has_written: bool
) -> None:
    for thread_id in THREADS:
        stale, current = fenced(thread_id, 5), fenced(thread_id, 7)
        first = await two[0].aput(stale, *step(-1, "first"))
        if has_written:
            await two[1].aput_writes(under(first, 7), [("said", "by the next")], "task")
        else:
            server.client.hset(f"lease:{{checkpoint:{thread_id}}}", mapping={"token": "x", "fence": 7})
        before = stored(server, thread_id)
        with pytest.raises(RunSuperseded):
            await two[0].aput(under(first, 5), *step(0, "too late"))
        with pytest.raises(RunSuperseded):
            await two[0].aput_writes(under(first, 5), [("said", "too late")], "task")
        assert stored(server, thread_id)[0] == before[0]
        assert await two[1].aput(under(first, 7), *step(0, "in time"))
        assert await two[0].aput(current, *step(1, "in time, too")) is not None


def fenced(thread_id: str, fence: int) -> Any:
    """A config of a run with a lease."""
    return under(named(thread_id), fence)


def under(config: Any, fence: int) -> Any:
    return {"configurable": {**config["configurable"], FENCE: fence}}


async def test_whoever_was_refused_can_go_on_from_what_is_newest(two: Two) -> None:
    first = await two[0].aput(named("x"), *step(-1, "x"))
    await two[0].aput(first, *step(0, "one"))
    with pytest.raises(CheckpointConflict):
        await two[1].aput(first, *step(0, "another"))
    newest = await two[1].aget_tuple(named("x"))
    assert newest is not None
    now = await two[1].aput(newest.config, *step(1, "again"))
    for saver in two:
        found = await saver.aget_tuple(named("x"))
        assert found is not None
        assert found.config == now
        assert found.checkpoint["channel_values"] == {"said": ["again"]}


async def test_a_first_turn_is_refused_where_there_was_one(server: Server, two: Two) -> None:
    await two[0].aput(named("x"), *step(-1, "one"))
    before = stored(server, "x")
    with pytest.raises(CheckpointConflict):
        await two[1].aput(named("x"), *step(-1, "another"))
    assert stored(server, "x") == before
    await two[1].aput(named("acme.x"), *step(-1, "another's"))


async def test_a_first_turn_is_accepted_again_once_the_conversation_is_gone(two: Two) -> None:
    first = await two[0].aput(named("x"), *step(-1, "one"))
    await two[1].adelete_thread("x")
    await two[1].aput(named("x"), *step(-1, "another"))
    with pytest.raises(CheckpointConflict):
        await two[0].aput(first, *step(0, "of what is gone"))


async def test_a_put_is_accepted_again_after_its_answer_was_lost(valkey: Server, tmp_path: Path, two: Two) -> None:
    valkey.client.flushall()
    with CuttingProxy(tmp_path / "proxy.sock", Path(valkey.url.removeprefix("unix://"))) as proxy:
        saver = RedisCheckpointer.from_url(proxy.url, ttl_s=TTL_S, keep=None)
        await saver.aprobe()
        place = named("x")
        for number in range(-1, 3):
            checkpoint = step(number, str(number))
            proxy.cut("after")
            place = await saver.aput(place, *checkpoint)
        # A whole turn later, too.
        again = await saver.aput(named("x", (await _parent(saver, place))), *checkpoint)
        assert again == place
        assert len([found async for found in saver.alist(named("x"))]) == 4
        await saver.aclose()


async def _parent(saver: RedisCheckpointer, place: Any) -> str:
    found = await saver.aget_tuple(place)
    assert found is not None
    assert found.parent_config is not None
    return str(found.parent_config["configurable"]["checkpoint_id"])


async def test_refusing_can_be_switched_off(server: Server, two: Two) -> None:
    careless = RedisCheckpointer.from_url(server.url, ttl_s=TTL_S, keep=None, refuse_conflicts=False)
    first = await two[0].aput(named("x"), *step(-1, "x"))
    await two[0].aput(first, *step(0, "one"))
    now = await careless.aput(first, *step(0, "another"))
    found = await two[0].aget_tuple(named("x"))
    assert found is not None
    assert found.config == now
    assert len([found async for found in two[0].alist(named("x"))]) == 3
    await careless.aclose()


async def test_what_was_made_elsewhere_is_stored_beside_and_the_newest_stays(two: Two) -> None:
    late = step(0, "made during an outage")
    first = await two[0].aput(named("x"), *step(-1, "x"))
    newest = await two[1].aput(first, *step(0, "one"))
    await two[0].arestore(first, late[0], late[1])
    found = await two[0].aget_tuple(named("x"))
    assert found is not None
    assert (found.config == newest) is (late[0]["id"] < newest["configurable"]["checkpoint_id"])
    assert await two[1].aget_tuple(named("x", late[0]["id"])) is not None


# ---- a graph


class State(TypedDict):
    said: Annotated[list[str], operator.add]


def chat(saver: RedisCheckpointer, *, asks: bool = False) -> Any:
    """Two steps a turn; with *asks* the second needs an answer."""

    def listen(state: State) -> dict[str, Any]:
        return {"said": [f"heard {state['said'][-1]}"]}

    def answer(state: State) -> dict[str, Any]:
        return {"said": [f"re {interrupt('?')}" if asks else f"re {state['said'][-2]}"]}

    graph = StateGraph(State)
    graph.add_node("listen", listen)
    graph.add_node("answer", answer)
    graph.add_edge(START, "listen")
    graph.add_edge("listen", "answer")
    graph.add_edge("answer", END)
    return graph.compile(checkpointer=saver)


def turn(text: str) -> list[str]:
    return [text, f"heard {text}", f"re {text}"]


async def end_of_first_turn(graph: Any) -> Any:
    states = [state async for state in graph.aget_state_history(named("x"))]
    return next(state for state in states if state.values.get("said") == turn("one"))


class Late(RedisCheckpointer):
    """Lets `first` happen before it stores anything."""

    first: Callable[[], Awaitable[Any]] | None = None

    async def aput(self, *args: Any, **names: Any) -> Any:
        first, self.first = self.first, None
        if first is not None:
            await first()
        return await super().aput(*args, **names)


@pytest.fixture
async def late(server: Server) -> AsyncIterator[Late]:
    saver = Late.from_url(server.url, ttl_s=TTL_S, keep=None)
    assert isinstance(saver, Late)
    yield saver
    await saver.aclose()


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
async def test_a_turn_is_refused_that_another_one_overtook(
    saver: RedisCheckpointer, late: Late, durability: Any
) -> None:
    ours, other = chat(late), chat(saver)
    for thread_id in THREADS:
        await other.ainvoke({"said": ["hello"]}, named(thread_id))
    late.first = lambda: other.ainvoke({"said": ["quick"]}, named("x"))
    with pytest.raises(CheckpointConflict):
        await ours.ainvoke({"said": ["slow"]}, named("x"), durability=durability)
    assert (await ours.aget_state(named("x"))).values["said"] == turn("hello") + turn("quick")
    assert (await ours.aget_state(named("acme.x"))).values["said"] == turn("hello")
    again = await ours.ainvoke({"said": ["slow"]}, named("x"), durability=durability)
    assert again["said"] == turn("hello") + turn("quick") + turn("slow")


@pytest.mark.parametrize("durability", ["sync", "async"])
async def test_the_first_of_two_first_turns_stays(saver: RedisCheckpointer, late: Late, durability: Any) -> None:
    ours, other = chat(late), chat(saver)
    late.first = lambda: other.ainvoke({"said": ["quick"]}, named("x"))
    with pytest.raises(CheckpointConflict):
        await ours.ainvoke({"said": ["slow"]}, named("x"), durability=durability)
    assert (await ours.aget_state(named("x"))).values["said"] == turn("quick")


async def test_an_interrupt_is_answered_once(saver: RedisCheckpointer, late: Late) -> None:
    ours, other = chat(late, asks=True), chat(saver, asks=True)
    await other.ainvoke({"said": ["hello"]}, named("x"))
    late.first = lambda: other.ainvoke(Command(resume="yes"), named("x"))
    with pytest.raises(CheckpointConflict):
        await ours.ainvoke(Command(resume="no"), named("x"))
    state = await ours.aget_state(named("x"))
    # Both answers may have reached the checkpoint that asks before either run went on: then the first of them counts.
    assert state.values["said"][:2] == ["hello", "heard hello"]
    assert state.values["said"][2:] in (["re yes"], ["re no"])
    assert not state.next


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
async def test_a_run_may_begin_with_an_old_checkpoint_that_it_names(two: Two, durability: Any) -> None:
    ours, other = chat(two[0]), chat(two[1])
    for text in ("one", "two", "three"):
        await other.ainvoke({"said": [text]}, named("x"))
    old = await end_of_first_turn(ours)
    for asked in ({"said": ["instead"]}, None, Command(goto="answer")):
        await ours.ainvoke(asked, old.config, durability=durability)
    await ours.ainvoke({"said": ["instead"]}, old.config, durability=durability)
    now = turn("one") + turn("instead")
    assert (await other.aget_state(named("x"))).values["said"] == now
    await other.ainvoke({"said": ["next"]}, named("x"), durability=durability)
    assert (await ours.aget_state(named("x"))).values["said"] == now + turn("next")


async def test_a_state_may_be_changed_in_the_past_and_gone_on_from(two: Two) -> None:
    ours, other = chat(two[0]), chat(two[1])
    for text in ("one", "two"):
        await other.ainvoke({"said": [text]}, named("x"))
    old = await end_of_first_turn(ours)
    fork = await ours.aupdate_state(old.config, {"said": ["changed"]}, as_node="answer")
    await ours.ainvoke({"said": ["next"]}, fork)
    expected = [*turn("one"), "changed", *turn("next")]
    assert (await other.aget_state(named("x"))).values["said"] == expected


async def test_workers_take_turns_in_one_conversation(two: Two) -> None:
    graphs = [chat(saver) for saver in two]
    for number in range(6):
        await graphs[number % 2].ainvoke({"said": [str(number)]}, named("x"))
        await graphs[number % 2].aupdate_state(named("x"), {"said": ["noted"]}, as_node="answer")
    said = (await graphs[1].aget_state(named("x"))).values["said"]
    assert said == [text for number in range(6) for text in [*turn(str(number)), "noted"]]


class Rebuilt(TypedDict):
    said: Annotated[
        list[str], DeltaChannel(lambda said, more: [*(said or []), *(text for one in more for text in one)])
    ]


def rebuilt_chat(saver: RedisCheckpointer) -> Any:
    graph = StateGraph(Rebuilt)
    graph.add_node("answer", lambda state: {"said": [f"re {state['said'][-1]}"]})
    graph.add_edge(START, "answer")
    graph.add_edge("answer", END)
    return graph.compile(checkpointer=saver)


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
async def test_a_turn_whose_state_is_rebuilt_from_its_ancestors_is_refused_as_well(
    saver: RedisCheckpointer, late: Late, durability: Any
) -> None:
    ours, other = rebuilt_chat(late), rebuilt_chat(saver)
    await other.ainvoke({"said": ["hello"]}, named("x"))
    late.first = lambda: other.ainvoke({"said": ["quick"]}, named("x"))
    ids = {found.config["configurable"]["checkpoint_id"] async for found in saver.alist(named("x"))}
    with pytest.raises(CheckpointConflict) as refused:
        await ours.ainvoke({"said": ["slow"]}, named("x"), durability=durability)
    assert refused.value.expected in ids  # so it was the turn's first put


async def test_a_change_of_the_state_is_refused_that_a_turn_overtook(saver: RedisCheckpointer, late: Late) -> None:
    ours, other = chat(late), chat(saver)
    await other.ainvoke({"said": ["hello"]}, named("x"))
    late.first = lambda: other.ainvoke({"said": ["quick"]}, named("x"))
    with pytest.raises(CheckpointConflict):
        await ours.aupdate_state(named("x"), {"said": ["changed"]}, as_node="answer")
    assert (await ours.aget_state(named("x"))).values["said"] == turn("hello") + turn("quick")


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
async def test_several_may_be_sent_to_a_subgraph_with_a_memory(saver: RedisCheckpointer, durability: Any) -> None:
    inner = StateGraph(State)
    inner.add_node("note", lambda state: {"said": ["noted"]})
    inner.add_edge(START, "note")
    graph = StateGraph(State)
    graph.add_node("inner", inner.compile(checkpointer=True))
    graph.add_conditional_edges(START, lambda state: [Send("inner", {"said": [str(n)]}) for n in range(3)], ["inner"])
    compiled = graph.compile(checkpointer=saver)
    for _ in range(3):
        await compiled.ainvoke({"said": ["go"]}, named("x"), durability=durability)
    assert (await compiled.aget_state(named("x"))).values["said"].count("go") == 3

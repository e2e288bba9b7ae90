"""Turns at work, never more than there are places, whatever they do and whoever gives up."""

import ast
import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import agents.nodes
from agents.turn_limiter import TurnLimiter

# How often a turn goes out and comes back, how long it takes inside and outside, and when it is cancelled, in ticks.
turns = st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.none() | st.integers(0, 12))


async def rest(ticks: int) -> None:
    for _ in range(ticks):
        await asyncio.sleep(0)


@given(places=st.integers(1, 3), plan=st.lists(turns, min_size=1, max_size=12))
async def test_no_more_are_at_work_than_there_are_places_and_none_is_lost(
    places: int, plan: list[tuple[int, int, int, int | None]]
) -> None:
    turn_limiter, at_work = TurnLimiter(places), 0

    async def work(ticks: int) -> None:
        nonlocal at_work
        at_work += 1
        try:
            assert at_work <= places
            await rest(ticks)
        finally:
            at_work -= 1

    async def turn(times_out: int, inside: int, outside: int) -> None:
        async with turn_limiter.hold() as place:
            await work(inside)
            for _ in range(times_out):
                async with place.release():
                    await rest(outside)
                await work(inside)

    async def cancelled(task: asyncio.Task[None], after: int) -> None:
        await rest(after)
        task.cancel()

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        for times_out, inside, outside, cancelled_after in plan:
            task = group.create_task(turn(times_out, inside, outside))
            if cancelled_after is not None:
                group.create_task(cancelled(task, cancelled_after))
    async with asyncio.timeout(5):  # every place can be had again
        for _ in range(places):
            await turn_limiter.take(is_back=False)
        with suppress(TimeoutError):
            async with asyncio.timeout(0):
                await turn_limiter.take(is_back=True)
                raise AssertionError("there is a place too many")


async def test_who_was_at_work_before_is_let_in_before_those_who_come() -> None:
    turn_limiter, entered = TurnLimiter(1), list[str]()
    is_out, may_come_back, may_go = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def begun() -> None:
        async with turn_limiter.hold() as place:
            async with place.release():
                is_out.set()
                await may_come_back.wait()
            entered.append("begun")

    async def holding() -> None:
        async with turn_limiter.hold():
            await may_go.wait()

    async def newcomer() -> None:
        async with turn_limiter.hold():
            entered.append("new")

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(begun())
        await is_out.wait()
        group.create_task(holding())
        await rest(3)
        group.create_task(newcomer())
        await rest(3)
        may_come_back.set()
        await rest(3)
        may_go.set()
    assert entered == ["begun", "new"]


NODES = Path(agents.nodes.__file__).parent
# What gives the place back itself, or takes it again.
GIVE_BACK = {"run.process_text", "run.place.retake", "run.verifier.check"}


def test_no_step_waits_for_anything_while_it_has_its_place() -> None:
    functions: dict[str, ast.AsyncFunctionDef] = {}
    for file in NODES.glob("*.py"):
        for found in ast.parse(file.read_text()).body:
            if isinstance(found, ast.AsyncFunctionDef):
                functions[found.name] = found
    at_work = {file.stem for file in NODES.glob("*.py")} & functions.keys()
    looked_at = set[str]()
    assert {"answer", "retrieve", "plan", "tools"} <= at_work
    while at_work:
        name = at_work.pop()
        looked_at.add(name)
        for called in find_awaited(functions[name]):
            assert called in GIVE_BACK | functions.keys(), f"{name} waits for {called} and keeps others from working"
            at_work |= {called} & (functions.keys() - looked_at)
    assert {"_write", "_recall", "_find_contact"} <= looked_at


def find_awaited(node: ast.AST) -> Iterator[str]:
    """The names of what is waited for in *node*, other than outside of the place."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.AsyncWith) and "place.release()" in ast.unparse(child.items[0]):
            continue
        if isinstance(child, ast.AsyncFor | ast.AsyncWith):
            yield ast.unparse(child.iter if isinstance(child, ast.AsyncFor) else child.items[0])
        if isinstance(child, ast.Await):
            yield ast.unparse(child.value.func) if isinstance(child.value, ast.Call) else ast.unparse(child.value)
        yield from find_awaited(child)

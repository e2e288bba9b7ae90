"""Load for the serving benchmark: visitors in rows, visitors who are always so many at once, and a crowd."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.visitors import Turn, Visitor, client

_CHANCE_SEED = 2026
_LONGEST = 8  # turns of a conversation: a model is given the newest ten, and an echo of those before would be missed


@dataclass(frozen=True, slots=True)
class Load:
    """*at_once* visitors, each asking its next first question as soon as it has an answer.

    They come in one after the other within *spread_s*, as people do: begun together, they would stay in step, since the
    model takes the same time for each.
    """

    at_once: int
    seconds: float
    spread_s: float = 0.0
    streamed: bool = False


async def keep_asking(url: str, questions: Sequence[str], load: Load) -> list[Turn]:
    """The turns begun within the time of *load*, all of them waited for."""
    chance, turns, began_s = random.Random(_CHANCE_SEED), list[Turn](), time.monotonic()

    async def visit(number: int) -> None:
        await asyncio.sleep(load.spread_s * number / load.at_once)
        while time.monotonic() - began_s < load.seconds:
            visitor, question = Visitor(http, url), chance.choice(questions)
            turns.append(await (visitor.listen(question) if load.streamed else visitor.ask(question)))

    async with client() as http:
        await asyncio.gather(*(visit(number) for number in range(load.at_once)))
    return turns


async def ask_all_at_once(url: str, questions: Sequence[str], count: int, *, streamed: bool = False) -> list[Turn]:
    """*count* first turns begun in the same moment."""
    chance = random.Random(_CHANCE_SEED)
    async with client() as http:
        visitors = [Visitor(http, url) for _ in range(count)]
        asking = [
            visitor.listen(chance.choice(questions)) if streamed else visitor.ask(chance.choice(questions))
            for visitor in visitors
        ]
        return list(await asyncio.gather(*asking))


async def crowd(
    url: str, questions: Sequence[str], *, conversations: int, every_s: float, seconds: float
) -> list[tuple[int, Turn]]:
    """Conversations with a turn about every *every_s* seconds each, for *seconds*; turns with their number from 1.

    When each begins is drawn evenly, and so is half of the time between its turns, so that they do not march in step.
    """
    chance, turns, began_s = random.Random(_CHANCE_SEED), list[tuple[int, Turn]](), time.monotonic()

    async def visit() -> None:
        visitor, due_s = Visitor(http, url), chance.uniform(0, every_s)
        while due_s < seconds:
            await asyncio.sleep(began_s + due_s - time.monotonic())
            if len(visitor.said) == _LONGEST:
                visitor = Visitor(http, url)
            turns.append((len(visitor.said) + 1, await visitor.ask(chance.choice(questions))))
            due_s = max(due_s + every_s * chance.uniform(0.75, 1.25), time.monotonic() - began_s)

    async with client() as http:
        await asyncio.gather(*(visit() for _ in range(conversations)))
    return turns


async def answerable(url: str, questions: Sequence[str], *, tries: int = 2) -> list[str]:
    """The questions that reach the model in every one of *tries*: one the service refuses would flatter it."""
    async with client() as http:
        asking = [Visitor(http, url).ask(question) for question in questions for _ in range(tries)]
        turns = await asyncio.gather(*asking)
    return [
        question
        for number, question in enumerate(questions)
        if not any(turn.problem for turn in turns[number * tries : (number + 1) * tries])
    ]

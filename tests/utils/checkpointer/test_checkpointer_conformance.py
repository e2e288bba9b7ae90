"""LangGraph's own conformance suite, capability by capability, on real servers."""

from collections.abc import AsyncGenerator, AsyncIterator

import pytest
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.capabilities import Capability, DetectedCapabilities

from utils.checkpointer import RedisCheckpointer


@pytest.fixture(params=["valkey", "debian_redis", "redis_cluster"])
async def anywhere(request: pytest.FixtureRequest) -> AsyncIterator[RedisCheckpointer]:
    """A saver on each kind of server in turn."""
    saver = RedisCheckpointer.from_url(request.getfixturevalue(request.param).url, ttl_s=600)
    yield saver
    await saver.aclose()


def test_all_eight_capabilities_are_detected(saver: RedisCheckpointer) -> None:
    assert DetectedCapabilities.from_instance(saver).detected == set(Capability)


@pytest.mark.parametrize("capability", [capability.value for capability in Capability])
async def test_the_capability_conforms(anywhere: RedisCheckpointer, capability: str) -> None:
    @checkpointer_test(name="RedisCheckpointer")
    async def factory() -> AsyncGenerator[RedisCheckpointer, None]:
        yield anywhere

    report = await validate(factory, capabilities={capability})
    result = report.results[capability]
    assert result.detected
    assert result.failures == []
    assert result.tests_passed > 0

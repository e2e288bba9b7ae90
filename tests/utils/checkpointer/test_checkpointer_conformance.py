"""LangGraph's own conformance suite, capability by capability, on real servers."""

from collections.abc import AsyncGenerator

import pytest
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.capabilities import Capability, DetectedCapabilities

from utils.checkpointer import RedisCheckpointer


def test_all_eight_capabilities_are_detected(saver: RedisCheckpointer) -> None:
    assert DetectedCapabilities.from_instance(saver).detected == set(Capability)


@pytest.mark.parametrize("capability", [capability.value for capability in Capability])
async def test_the_capability_conforms(saver: RedisCheckpointer, capability: str) -> None:
    @checkpointer_test(name="RedisCheckpointer")
    async def factory() -> AsyncGenerator[RedisCheckpointer, None]:
        yield saver

    report = await validate(factory, capabilities={capability})
    result = report.results[capability]
    assert result.detected
    assert result.failures == []
    assert result.tests_passed > 0

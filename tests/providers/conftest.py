"""A model endpoint that is there for all tests of a file, and forgets between them."""

from collections.abc import Iterator

import pytest

from tests.fakes.model_server import FakeModelServer


@pytest.fixture(scope="module")
def running() -> Iterator[FakeModelServer]:
    with FakeModelServer() as server:
        yield server


@pytest.fixture
def server(running: FakeModelServer) -> FakeModelServer:
    running.reset()
    return running

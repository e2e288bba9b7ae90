"""The stub of the API, for every test of a client."""

from collections.abc import Iterator

import pytest

from tests.clients.api_stub import ApiStub, serve_stub


@pytest.fixture
def api() -> Iterator[ApiStub]:
    """A running stub."""
    with serve_stub() as stub:
        yield stub

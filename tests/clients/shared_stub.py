"""One stub of the API for all tests of a module, whose page is started once."""

from collections.abc import Iterator

import pytest

from tests.clients.api_stub import ApiStub, serve_stub


@pytest.fixture(scope="module")
def shared_api() -> Iterator[ApiStub]:
    """The stub that the module's pages ask."""
    with serve_stub() as stub:
        yield stub


@pytest.fixture
def api(shared_api: ApiStub) -> Iterator[ApiStub]:
    """The stub as it is at first; what was held goes on afterwards."""
    yield shared_api
    shared_api.reset()

from collections.abc import Iterator

import pytest

from utils.sandbox.sandbox import Sandbox


@pytest.fixture(scope="package")
def sandbox() -> Iterator[Sandbox]:
    """Where processes that read files come from."""
    with Sandbox() as opened:
        yield opened

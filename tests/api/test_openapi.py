"""The OpenAPI document: what generated clients and readers need of it."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

Json = dict[str, Any]
METHODS = ("get", "put", "post", "patch", "delete")


@pytest.fixture(scope="module")
def document(service: Any) -> Json:
    """As the service gives it."""
    found: Json = httpx.get(f"{service.url}/openapi.json", trust_env=False).json()
    return found


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    """Method, path and description of each."""
    for path, item in document["paths"].items():
        yield from ((method, path, item[method]) for method in METHODS if method in item)


def test_every_operation_has_a_name_of_its_own_that_is_a_verb_and_a_noun(document: Json) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names) > 30
    assert [name for name in names if not re.fullmatch(r"[a-z]+(?:[A-Z][a-z]+)+", name)] == []

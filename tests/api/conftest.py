"""Two tenants of the service of a module."""

from collections.abc import Iterator

import httpx
import pytest

from tests.service import Service


@pytest.fixture(scope="module")
def north(service: Service) -> Iterator[httpx.Client]:
    """A client with a key of the tenant north."""
    with service.client(service.new_key("north")) as client:
        yield client


@pytest.fixture(scope="module")
def south(service: Service) -> Iterator[httpx.Client]:
    """A client with a key of the tenant south."""
    with service.client(service.new_key("south")) as client:
        yield client


def settle(service: Service, client: httpx.Client, document_id: str) -> None:
    """Wait until the index holds what is said of the document."""
    path = f"/v1/tenant/documents/{document_id}"
    service.wait_for(lambda: (one := client.get(path).json())["status"] == "completed" and one["searchable"])

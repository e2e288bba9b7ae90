"""Two tenants of the service of a module, by our own client and by OpenAI's."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.conftest import FAKE_MODEL
from tests.fakes.model_server import FakeModelServer
from tests.fakes.speech_server import FakeSpeechServer
from tests.service import Service

if TYPE_CHECKING:
    from openai import OpenAI


@pytest.fixture(scope="module")
def speech() -> Iterator[FakeSpeechServer]:
    """Endpoints that transcribe and speak."""
    with FakeSpeechServer() as server:
        yield server


@pytest.fixture(scope="module")
def voice_variables(speech: FakeSpeechServer, model_server: FakeModelServer) -> dict[str, str]:
    """What sets a service up to be asked by voice, with a language model; requests are not limited."""
    endpoints = {
        "LLM_BASE_URL": model_server.base_url,
        "STT_BASE_URL": speech.base_url,
        "TTS_BASE_URL": speech.base_url,
    }
    return {**FAKE_MODEL, **endpoints, "RATE_LIMIT_PER_HOUR": "100000"}


@pytest.fixture
def fresh_endpoints(speech: FakeSpeechServer, model_server: FakeModelServer) -> None:
    """The endpoints, as they were at first."""
    speech.reset()
    model_server.reset()


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


def connect(service: Service, key: str) -> "OpenAI":
    """OpenAI's client with a key of *service*, which does not try again by itself."""
    import openai  # a second of each process that tests something else

    client = openai.DefaultHttpxClient(trust_env=False)
    return openai.OpenAI(api_key=key, base_url=f"{service.url}/v1", max_retries=0, http_client=client)


@pytest.fixture(scope="module")
def caller(service: Service) -> Iterator["OpenAI"]:
    """OpenAI's client of the default tenant."""
    with connect(service, service.key) as client:
        yield client


@pytest.fixture(scope="module")
def stranger(service: Service, other_key: str) -> Iterator["OpenAI"]:
    """OpenAI's client of another tenant."""
    with connect(service, other_key) as client:
        yield client


@pytest.fixture
def writer(service_with_model: Service, model_server: FakeModelServer) -> Iterator["OpenAI"]:
    """OpenAI's client of the service whose language model answers."""
    model_server.reset()
    with connect(service_with_model, service_with_model.key) as client:
        yield client
    model_server.reset()


def assert_opens(annotation: Any, text: str) -> None:
    """It stands at a mark of *text*, and leads a browser without a key to the quote."""
    assert text[annotation.start_index : annotation.end_index] == "[1]"
    page = httpx.get(annotation.url, trust_env=False)
    assert page.status_code == 200
    assert "<mark" in page.text
    assert annotation.title in page.text

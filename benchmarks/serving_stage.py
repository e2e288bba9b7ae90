"""The processes of the serving benchmark, each started when a case first needs it.

- model: the fake model endpoint, chat and embeddings. Its CPU is counted for nobody.
- floor: `benchmarks/floor.py`, on Debian's Redis.
- single: `python app.py` with the stores that come along, run within `benchmarks/serving_sampler.py`.
- pair: gunicorn with two workers on Debian's Redis and a fake Qdrant server. SQL stays with SQLite, which both workers
  share: a turn whose key is the configured one does not touch it.
"""

import json
import os
import signal
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.processes import ROOT, fetch, free_ports, start, wait_until_ready
from benchmarks.serving_breakdown import Stack, load_stacks
from benchmarks.serving_load import answerable
from benchmarks.stage import Target, configure_model
from benchmarks.visitors import API_KEY
from bootstrap.valkey import read_publication
from tests.servers.redis import RedisServer
from utils.processes import Child

WORKERS = 2
_QUESTIONS = 30


class ServingStage:
    """What runs; `model_url` ends in /v1."""

    def __init__(self, folder: Path, closing: ExitStack) -> None:
        self._folder, self._closing = folder, closing
        self._targets: dict[str, Target] = {}
        self._children: dict[str, Child] = {}
        (port,) = free_ports(1)
        self.model_url = f"http://127.0.0.1:{port}/v1"
        self._start("model", ["-m", "tests.fakes.model_server", "--port", str(port)], f"{self.model_url}/models")
        (folder / "redis").mkdir()
        self.redis = closing.enter_context(RedisServer(folder / "redis"))
        self._questions: dict[str, list[str]] = {}
        self._redis_pid = int(self.redis.client.info("server")["process_id"])

    async def questions(self, target: Target) -> list[str]:
        """Questions of the samples that this service puts to the model; sets the model back to its defaults."""
        self.model()
        if target.name not in self._questions:
            listed = json.loads((ROOT / "tests" / "samples" / "questions.json").read_text())["questions"]
            plain = [item["question"] for item in listed if not item["cross_lingual"]][:_QUESTIONS]
            self._questions[target.name] = await answerable(target.url, plain)
        return self._questions[target.name]

    def model(self, **behaviour: object) -> None:
        """Let the model behave so, and else as it does by itself: fields of `tests.fakes.model_behaviour.Behaviour`."""
        fetch(f"{self.model_url.removesuffix('/v1')}/__reset", b"{}")
        configure_model(self.model_url, **behaviour)

    def floor(self) -> Target:
        """The floor."""
        if "floor" not in self._targets:
            (port,) = free_ports(1)
            where = ["--port", str(port), "--model-url", self.model_url, "--redis-url", self.redis.url]
            url = f"http://127.0.0.1:{port}"
            child = self._start("floor", ["-m", "benchmarks.floor", *where, "--api-key", API_KEY], f"{url}/health")
            self._targets["floor"] = Target("floor", url, child.pid, self._redis_pid)
        return self._targets["floor"]

    def single(self) -> Target:
        """The service in one process."""
        if "single" not in self._targets:
            (port,) = free_ports(1)
            program = ["-m", "benchmarks.serving_sampler", str(self._stacks), str(ROOT / "app.py")]
            child = self._start_service("single", program, port)
            publication = read_publication(self._folder / "single")
            valkey = publication.pid if publication else 0
            self._targets["single"] = Target("single", f"http://127.0.0.1:{port}", child.pid, valkey)
        return self._targets["single"]

    def pair(self) -> Target:
        """The service in two workers."""
        if "pair" not in self._targets:
            port, qdrant_port = free_ports(2)
            qdrant_url = f"http://127.0.0.1:{qdrant_port}"
            self._start(
                "qdrant",
                ["-m", "tests.fakes.qdrant_server", "--port", str(qdrant_port), "--remembers"],
                f"{qdrant_url}/collections",
            )
            program = ["-m", "gunicorn", "-c", str(ROOT / "gunicorn.conf.py")]
            stores = {"REDIS_URL": self.redis.url, "QDRANT_URL": qdrant_url, "WORKERS": str(WORKERS)}
            child = self._start_service("pair", program, port, **stores)
            self._targets["pair"] = Target("pair", f"http://127.0.0.1:{port}", child.pid, self._redis_pid)
        return self._targets["pair"]

    def begin_sampling(self) -> None:
        """Note from now on where the single service's CPU goes."""
        self._stacks.unlink(missing_ok=True)
        os.kill(self.single().pid, signal.SIGUSR1)

    def end_sampling(self) -> list[Stack]:
        """What was noted."""
        os.kill(self.single().pid, signal.SIGUSR2)
        if not self._children["single"].wait_until(self._stacks.exists, 10):
            raise RuntimeError("The sampler wrote nothing.")
        return load_stacks(self._stacks)

    def others_pids(self) -> dict[str, int]:
        """What runs beside the targets and takes CPU from them, by name."""
        return {name: child.pid for name, child in self._children.items() if name in ("model", "qdrant")}

    def has_ended(self, name: str, timeout_s: float) -> bool:
        """Whether a target ends within that time; it is started again when it is asked for again."""
        child = self._children[name]
        child.wait_until(lambda: False, timeout_s)
        self._targets.pop(name)
        return not child.is_alive()

    def said(self, name: str) -> str:
        """What a process has printed."""
        return self._children[name].log()

    @property
    def _stacks(self) -> Path:
        return self._folder / "stacks.json"

    def _start(self, name: str, argv: list[str], url: str, **variables: str) -> Child:
        children: list[Child] = []
        start(children, self._folder, name, argv, variables)
        self._children[name] = children[0]
        self._closing.callback(children[0].stop, 40)
        wait_until_ready(children[0], url, 60)
        return children[0]

    def _start_service(self, name: str, argv: list[str], port: int, **stores: str) -> Child:
        variables = {
            "DATA_DIR": str(self._folder / name),
            "KNOWLEDGE_DIR": str(ROOT / "samples"),
            "PORT": str(port),
            "STREAMLIT_ENABLED": "false",
            "RATE_LIMIT_ENABLED": "false",
            "LOG_LEVEL": "WARNING",
            "MAX_TURNS_PER_KEY": "2500",  # a crowd comes with one key here
            "OPENAI_MAX_CONCURRENT": "2000",  # 2,000 streams are not spread evenly over two workers
            "API_KEY": API_KEY,
            "LLM_BASE_URL": self.model_url,
            "LLM_API_KEY": "none",
            "LLM_MODEL": "fake",
            "EMBEDDING_PROVIDER": "openai",
            "EMBEDDING_BASE_URL": self.model_url,
            "EMBEDDING_API_KEY": "none",
            "EMBEDDING_MODEL": "fake-embedding",
        }
        url = f"http://127.0.0.1:{port}"
        child = self._start(name, argv, f"{url}/ready", **variables, **stores)
        if not child.wait_until(lambda: _has_vectors(url), 60):
            raise RuntimeError(f"{name} does not finish its index:\n{child.log()[-2000:]}")
        return child


def _has_vectors(url: str) -> bool:
    """Whether a question finds its passages, and none waits for its vector any more."""
    time.sleep(0.2)
    headers = {"X-API-Key": API_KEY, "Content-Type": "application/json"}
    body = json.dumps({"message": "How much does a dormitory room cost?", "session_id": None}).encode()
    asking = urllib.request.Request(f"{url}/v1/chat", body, headers)  # noqa: S310 - the loopback
    with urllib.request.urlopen(asking, timeout=10) as reply:  # noqa: S310
        if "echo" not in json.load(reply)["answer"]:
            return False
    return not fetch(f"{url}/health?verbose", key=API_KEY)["indexing"]["pending_count"]


@contextmanager
def set_serving_stage() -> Iterator[ServingStage]:
    """Everything in a folder that is removed in the end, when all processes are stopped.

    Raises:
        RuntimeError: a process did not become ready; the message ends with what it printed.
    """
    with tempfile.TemporaryDirectory(prefix="pustaka-bench-") as made, ExitStack() as closing:
        yield ServingStage(Path(made), closing)

"""The processes a chat benchmark needs: a fake model, the service with its Valkey, the floor beside it."""

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import process_tree
from benchmarks.processes import ROOT, fetch, free_ports, start, wait_until_ready
from benchmarks.visitors import API_KEY
from bootstrap.valkey import read_publication
from utils.processes import Child


@dataclass(frozen=True, slots=True)
class Target:
    """A server that is measured; `valkey_pid` is the server of its history, counted apart."""

    name: str
    url: str
    pid: int
    valkey_pid: int

    def processes(self) -> list[int]:
        """Its process and those it started, without Valkey."""
        return process_tree(self.pid, without=[self.valkey_pid])


@dataclass(frozen=True, slots=True)
class Stage:
    """All that runs: the model's address (ending in /v1) and the two servers that use it."""

    model_url: str
    service: Target
    floor: Target


@contextmanager
def set_stage(knowledge: Path) -> Iterator[Stage]:
    """Start everything on free ports of the loopback and in a folder that is removed in the end.

    Raises:
        RuntimeError: a process did not become ready; the message ends with what it printed.
    """
    with tempfile.TemporaryDirectory(prefix="pustaka-bench-") as made:
        folder, children = Path(made), list[Child]()
        ports = free_ports(3)
        try:
            model_url = f"http://127.0.0.1:{ports[0]}/v1"
            start(children, folder, "model", ["-m", "tests.fakes.model_server", "--port", str(ports[0])])
            wait_until_ready(children[-1], f"{model_url}/models", 10)
            service = _start_service(children, folder, ports[1], model_url, knowledge)
            floor = _start_floor(children, folder, ports[2], model_url, service.valkey_pid)
            yield Stage(model_url, service, floor)
        finally:
            for child in reversed(children):
                child.stop(20)


def configure_model(model_url: str, **behaviour: object) -> None:
    """Set how the fake model behaves: fields of `tests.fakes.model_behaviour.Behaviour`."""
    fetch(f"{model_url.removesuffix('/v1')}/__config", json.dumps(behaviour).encode())


def _start_service(children: list[Child], folder: Path, port: int, model_url: str, knowledge: Path) -> Target:
    variables = {
        "DATA_DIR": str(folder / "data"),
        "KNOWLEDGE_DIR": str(knowledge),
        "PORT": str(port),
        "STREAMLIT_ENABLED": "false",
        "RATE_LIMIT_ENABLED": "false",
        "LOG_LEVEL": "WARNING",
        "API_KEY": API_KEY,
        "LLM_BASE_URL": model_url,
        "LLM_API_KEY": "none",
        "LLM_MODEL": "fake",
    }
    start(children, folder, "service", [str(ROOT / "app.py")], variables)
    url = f"http://127.0.0.1:{port}"
    wait_until_ready(children[-1], f"{url}/ready", 60)
    _wait_for_vectors(children[-1], f"{url}/health?verbose")
    publication = read_publication(folder / "data")
    return Target("service", url, children[-1].pid, publication.pid if publication else 0)


def _start_floor(children: list[Child], folder: Path, port: int, model_url: str, valkey_pid: int) -> Target:
    publication = read_publication(folder / "data")
    assert publication, "the service runs, so its Valkey does"
    where = ["--port", str(port), "--model-url", model_url, "--redis-url", f"unix://{publication.socket}"]
    start(children, folder, "floor", ["-m", "benchmarks.floor", *where, "--api-key", API_KEY])
    wait_until_ready(children[-1], f"http://127.0.0.1:{port}/health", 20)
    return Target("floor", f"http://127.0.0.1:{port}", children[-1].pid, valkey_pid)


def _wait_for_vectors(child: Child, health_url: str) -> None:
    """Embedding the documents takes both cores for a minute; it is not what is measured."""

    def pending() -> bool:
        time.sleep(0.5)
        return bool(fetch(health_url, key=API_KEY)["indexing"]["pending_count"])

    # The folder is new, so there is work, but /health learns of it only after a while.
    if not (child.wait_until(pending, 120) and child.wait_until(lambda: not pending(), 900)):
        raise RuntimeError(f"{child.name} does not finish its index:\n{child.log()[-2000:]}")

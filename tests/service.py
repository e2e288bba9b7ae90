"""The whole service as its users start it: a process of its own, on free ports and a data folder of its own."""

import fcntl
import hashlib
import itertools
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import IO, Any, Self

import httpx

from domain.db_opening import open_database
from domain.keys import NEW_KEY_SCOPES, create_key, ensure_tenant
from tests import preloaded
from tests.preloaded import Process

# Processes that test side by side begin at different places.
_PORTS = itertools.cycle(random.sample(range(12_000, 32_000), 20_000))
ROOT = Path(__file__).resolve().parent.parent
START_LIMIT_S = 120.0  # a start takes three seconds, on a machine that does other things too many more
_LONGEST_RUN_S = 3600.0
WATCH = ROOT / "tests" / "watch"
# To load it costs 15 ms of a processor, and a client of its own for each test would.
TRUST = httpx.create_ssl_context()
_KEY = re.compile(r"^API_KEY\s+(ak_live_\S+)$", re.MULTILINE)


def free_port() -> int:
    """A port nothing listens on, below those the system gives to connections: one of them would take it at any time."""
    while True:
        port = next(_PORTS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


class Service:
    """`python app.py` with *variables*; the chat page is off unless they say otherwise."""

    preloaded = False  # True in tests: forked from a process that has imported everything

    def __init__(self, data_dir: Path, **variables: str) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        # The samples stay, whatever else a test loads, and with whatever stores.
        own = {"KNOWLEDGE_DIR": str(ROOT / "samples"), "STREAMLIT_ENABLED": "false"}
        self.variables = {**own, "DATA_DIR": str(data_dir), "PORT": str(self.port), **variables}
        self.key = variables.get("API_KEY", "")
        self._process: Process | None = None
        # Where there is no `.env` of the developer's.
        self._nowhere = data_dir.parent / f"{data_dir.name}.cwd"
        self._nowhere.mkdir(exist_ok=True)
        self._out = data_dir.parent / f"{data_dir.name}.out"
        self._log = data_dir.parent / f"{data_dir.name}.log"
        self._held = data_dir.parent / f"{data_dir.name}.held"
        self._watch: dict[str, str] = {}
        self._ready_at = float("inf")

    @property
    def url(self) -> str:
        """Where its API is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def process(self) -> Process:
        """The running process."""
        assert self._process is not None, "the service has not been started"
        return self._process

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Start it and wait until it has said where everything is."""
        self.launch()
        self.wait_for(lambda: "Ctrl-C stops everything" in self.printed())
        found = _KEY.search(self.printed())
        self.key = found[1] if found else self.key
        self._ready_at = time.time()
        return self

    def by_itself(self) -> Self:
        """Started as its users start it, by a new interpreter."""
        self.preloaded = False
        return self

    def watched(self) -> Self:
        """The same, looked at by `tests/watch` from its start on."""
        self._watch["LOOP_HELD_FILE"] = str(self._held)
        return self

    def keeping_vectors(self) -> Self:
        """The same, which looks a vector up that any forked one has worked out; see `tests/preloaded_server.py`."""
        self._watch["VECTORS_KEPT"] = "yes"
        return self

    def loop_held(self) -> list[dict[str, Any]]:
        """What held the event loop of a watched service since it was ready: how long and where; see `tests/watch`."""
        lines = self._held.read_text().splitlines() if self._held.exists() else []
        return [finding for finding in map(json.loads, lines) if finding["at"] >= self._ready_at]

    def launch(self) -> None:
        """Start it without waiting."""
        with self._out.open("wb") as out, self._log.open("ab") as log:
            self._process = self._start_program([str(ROOT / "app.py")], out, log)

    def _start_program(self, program: list[str], out: IO[bytes], log: IO[bytes], cwd: Path | None = None) -> Process:
        """*program* by a new interpreter, or forked from one that has imported everything."""
        folder, env = cwd or self._nowhere, plain_environment(self.variables | self._watch)
        return preloaded.start(program, preloaded=self.preloaded, cwd=folder, env=env, stdout=out, stderr=log)

    def wait_for(self, condition: Any, limit_s: float = START_LIMIT_S) -> None:
        """Wait until *condition()* holds; fail with the log when the process ends first or it takes too long."""
        deadline, look_s = time.monotonic() + limit_s, 0.02
        while not condition():
            ended = self.process.poll() is not None
            assert not ended, f"The service ended with {self.process.returncode}:\n{self._last_logged()}"
            assert time.monotonic() < deadline, f"Not after {limit_s} s:\n{self.printed()}\n{self._last_logged()}"
            time.sleep(look_s)  # between two looks at the condition, which may cost the service a turn
            look_s = min(look_s * 1.2, 0.2)

    def wait_until_found(self, client: httpx.Client, query: str) -> None:
        """Wait until a search finds something: documents are loaded, and then indexed, while the service serves."""
        self.wait_for(lambda: "KNOWLEDGE_DIR is loaded" in self.logged())
        self.wait_for(lambda: client.post("/v1/search", json={"query": query}).json().get("passages"))

    def printed(self) -> str:
        """What it wrote to standard output."""
        return self._out.read_text() if self._out.exists() else ""

    def logged(self) -> str:
        """What it wrote to standard error, over all its lives."""
        return self._log.read_text() if self._log.exists() else ""

    def _last_logged(self) -> str:
        """The end of its log, without the line of each request."""
        lines = (line for line in self.logged().splitlines() if '"Request completed"' not in line)
        return "\n".join(lines)[-6000:]

    def stop(self, number: int = signal.SIGINT) -> int:
        """End it as Ctrl-C does; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(30)

    def flask(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a `flask` command on its data."""
        command = ["-m", "flask", "--app", f"{ROOT / 'app.py'}:create_app", *arguments]
        env = plain_environment(self.variables)
        return preloaded.run(command, preloaded=self.preloaded, cwd=self._nowhere, env=env, timeout=60)

    def new_key(self, tenant: str, scopes: Collection[str] = NEW_KEY_SCOPES) -> str:
        """A key of *tenant*, as `flask api-key` makes it, whose start would take seconds."""
        database = open_database(self.variables.get("DATABASE_URI", f"sqlite:///{self.data_dir / 'pustaka.db'}"))
        try:
            with database.open_write_session() as session:
                ensure_tenant(session, tenant)
                return create_key(session, tenant, "made by a test", scopes=scopes)[1]
        finally:
            database.close()

    def client(self, key: str | None = None, **headers: str) -> httpx.Client:
        """An HTTP client with a key: its first one, unless another is given; "" is none."""
        chosen = self.key if key is None else key
        return httpx.Client(
            base_url=self.url,
            headers={**({"X-API-Key": chosen} if chosen else {}), **headers},
            timeout=30,
            trust_env=False,
            verify=TRUST,
        )

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            if self.is_running:  # it would go on beside all other tests
                self.stop()
            raise

    def __exit__(self, *failure: object) -> None:
        self.stop()


@dataclass(frozen=True)
class Library:
    """A data folder with documents and their vectors, whose service has ended, and the first key it gave out."""

    folder: Path
    key: str

    def copy(self, folder: Path) -> Path:
        """The same data once more, below *folder*."""
        # Sockets and locks are of no use elsewhere.
        return Path(shutil.copytree(self.folder, folder / "data", ignore=shutil.ignore_patterns("*.sock", "*.lock")))

    def service(self, folder: Path, **variables: str) -> Service:
        """A service on a copy, not started yet, which works out no vector that another has."""
        made = Service(self.copy(folder), **variables).keeping_vectors()
        made.key = variables.get("API_KEY", self.key)
        return made


def fingerprint() -> str:
    """Names all that the data of a new service comes from: the samples, our sources, what is installed, and the day."""
    packages = [
        folder.parent for folder in ROOT.glob("*/__init__.py") if folder.parent.name not in ("tests", "benchmarks")
    ]
    inside = [path for folder in (*packages, ROOT / "samples") for path in folder.rglob("*") if path.is_file()]
    files = sorted(path for path in (*inside, *ROOT.glob("*.py"), *ROOT.glob("*.txt")) if path.suffix != ".pyc")
    told = hashlib.sha256(f"{sys.version} {date.today()}".encode())
    for path in files:
        told.update(b"%s %s" % (str(path).encode(), hashlib.sha256(path.read_bytes()).digest()))
    return told.hexdigest()


def library_in(base: Path, state: str) -> Library:
    """The samples with their vectors: computed by the first process that asks below *base* in this *state*."""
    with (base / "making.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = base / state / "made.json"
        if not made.exists():
            for former in (folder for folder in base.iterdir() if folder.is_dir()):
                # A failed try is not gone on with; another run may use a new one, of the code as it was.
                if former == made.parent or former.stat().st_mtime < time.time() - _LONGEST_RUN_S:
                    shutil.rmtree(former)
            made.parent.mkdir()
            with Service(made.parent / "data", RATE_LIMIT_ENABLED="false") as service:
                await_vectors(service, limit_s=300)
            made.write_text(service.key)
    return Library(made.parent / "data", made.read_text())


def one_document(folder: Path) -> dict[str, str]:
    """Variables for one small document in *folder*: the vectors of the samples would keep the processors busy."""
    (folder / "knowledge").mkdir()
    (folder / "knowledge" / "rooms.md").write_text("# Rooms\n\nA dormitory room costs 850,000 rupiah a month.\n")
    return {"KNOWLEDGE_DIR": str(folder / "knowledge")}


def await_vectors(service: Service, limit_s: float = START_LIMIT_S) -> None:
    """Wait until every vector is computed and the service can be asked."""
    with service.client() as client:

        def is_done() -> bool:
            ready = client.get("/ready").is_success
            return ready and client.get("/health?verbose").json()["indexing"]["pending_count"] == 0

        service.wait_for(is_done, limit_s)


def await_knowledge(service: Service, question: str) -> None:
    """Wait until *question* is answered from the documents: they are loaded after the service is ready."""
    with service.client() as client:
        body = {"session_id": None, "message": question}
        service.wait_for(lambda: client.post("/v1/chat", json=body).json().get("answered"))
        await_vectors(service)


def assert_nothing_held_the_loop(service: Service) -> None:
    """Fail with what held the event loop of a watched service, from its being ready to now."""
    held = service.loop_held()
    told = [
        f"worked {item['worked_s']} s, waited {item['waited_s']} s, collected {item['collected_s']} s:\n{item['what']}"
        for item in held
    ]
    assert not held, f"{len(held)} callbacks held the event loop:\n\n" + "\n".join(told)


def plain_environment(variables: dict[str, str]) -> dict[str, str]:
    """What a program needs of our environment, and *variables*; nothing that configures the service by accident."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "PYTHONUNBUFFERED": "1", **variables}


def ask(client: httpx.Client, message: str, conversation_id: str = "test", **body: Any) -> httpx.Response:
    """One question."""
    return client.post("/v1/chat", json={"message": message, **body}, headers={"X-Conversation-Id": conversation_id})

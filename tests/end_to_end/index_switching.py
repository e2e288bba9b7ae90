"""A production site whose index gives way to another one while people ask: what each of them was answered, and when.

Two gunicorn workers on shared stores. The change comes as it does from an operator: by `.env` and a reload (SIGHUP).
"""

import random
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from sqlalchemy import func

from app import create_app
from config import load_settings
from domain.db import Database
from domain.db_opening import open_database
from domain.indexes import list_indexes, measure_progress
from domain.models import Document
from domain.scoping import select_everywhere
from tests.end_to_end.stacks import Servers
from tests.fakes.model_server import FakeModelServer
from tests.gunicorn_service import KEY, GunicornService

WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron", "indigo", "juniper", "kelp", "larch")
LIMIT_S = 240.0
WHO = ("baker", "doctor", "fisher", "gardener", "judge", "miller", "nurse", "painter", "sailor", "tailor", "tinker")
DOES = (
    "buys",
    "cleans",
    "counts",
    "draws",
    "forgets",
    "hides",
    "lends",
    "mends",
    "paints",
    "sells",
    "washes",
    "weighs",
)
WHAT = ("apples", "bells", "boats", "books", "carpets", "clocks", "coins", "drums", "flutes", "kettles", "maps")
WHERE = (
    "attic",
    "bakery",
    "cellar",
    "chapel",
    "factory",
    "forest",
    "harbour",
    "kitchen",
    "laundry",
    "market",
    "museum",
)
BUILT_IN = "multilingual-e5-small-q4"


@dataclass(frozen=True)
class Change:
    """What an operator writes into `.env`, and the embedding model that answers afterwards."""

    settings: str
    model: str


SMALLER_PASSAGES = Change("CHUNK_TOKENS=60\nCHUNK_MAX_TOKENS=90\n", BUILT_IN)


@dataclass(frozen=True)
class Asked:
    """One question: when it was put, how long its answer took, and whether it was the right one.

    *told* is what came instead where it was not.
    """

    at: float
    ms: float
    failed: bool
    right: bool
    told: str


@dataclass
class Crowd:
    """Clients that ask, each one question after the other, until they are told to stop; *rest_s* between two."""

    url: str
    questions: Sequence[tuple[str, str]]
    clients: int
    rest_s: float
    asked: list[Asked] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Crowd":
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(self.clients)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, number: int) -> None:
        pick = random.Random(number)
        with httpx.Client(base_url=self.url, headers={"X-API-Key": KEY}, timeout=60, trust_env=False) as client:
            while not self._stop.wait(self.rest_s):
                question, expected = pick.choice(self.questions)
                began = time.time()
                try:
                    answer = client.post("/v1/chat", json={"session_id": None, "message": question})
                    failed, told = answer.status_code != 200, answer.text
                except httpx.HTTPError as exc:
                    failed, told = True, repr(exc)
                right = not failed and expected in told
                wrong = "" if right else f"{question} {expected}: {told}"
                self.asked.append(Asked(began, (time.time() - began) * 1000, failed, right, wrong))


def write_documents(folder: Path, count: int, asides: int) -> list[tuple[str, str]]:
    """Documents of a fact each, with so many paragraphs aside; and questions with the number that is to be answered."""
    folder.mkdir()
    pick, facts = random.Random(7), []
    for number in range(count):
        name = f"{pick.choice(WORDS)} {pick.choice(WORDS)} {number}"
        price = 1000 + number * 7
        (folder / f"{number}.md").write_text(
            f"# House {name}\n\nA room in the house {name} costs {price} crowns a month. "
            f"The porter of this house is in from {number % 12 + 1} to {number % 12 + 9}.\n"
            + "".join(f"\n{_aside(pick)}\n" for _ in range(asides))
        )
        facts.append((f"How much does a room in the house {name} cost?", str(price)))
    return facts


def _aside(pick: random.Random) -> str:
    """A paragraph of four sentences, hardly like any other."""
    lists = (WHO, DOES, WHAT, WHERE)
    said = ([pick.choice(words) for words in lists] for _ in range(4))
    return " ".join(f"The {who} {does} the {what} in the {where}." for who, does, what, where in said)


@dataclass
class SwitchingSite:
    """The service, its records, and the moments at which it entered each phase."""

    service: GunicornService
    database: Database
    model: FakeModelServer
    crowd: Crowd
    began: dict[str, float] = field(default_factory=dict)

    def enter(self, phase: str) -> None:
        self.began[phase] = time.time()

    def states(self) -> dict[int, str]:
        with self.database.open_read_session() as session:
            return {row.number: row.state for row in list_indexes(session)}

    def passages(self) -> int:
        """How many the newest index holds."""
        with self.database.open_read_session() as session:
            return measure_progress(session, list_indexes(session)[-1]).words

    def wait_for_states(self, states: dict[int, str]) -> None:
        self.service.wait_for(lambda: self.states() == states, LIMIT_S)

    def let_ask(self, questions: int, pause_s: float) -> None:
        """Let the crowd ask on, until so many more questions are answered and so much time has gone by."""
        enough, until = len(self.crowd.asked) + questions, time.time() + pause_s
        self.service.wait_for(lambda: len(self.crowd.asked) >= enough and time.time() >= until, LIMIT_S)

    def wait_for_workers(self, saying: str) -> None:
        """Wait until two have logged it: as many as there are, beside those that a reload ends."""
        self.service.wait_for(lambda: self.service.logged().count(saying) >= 2, LIMIT_S)

    def roll_back(self) -> None:
        """`flask index rollback`, in this process."""
        variables = {name.lower(): value for name, value in self.service.variables.items()}
        app = create_app(load_settings(_env_file=None, **variables))
        done = app.test_cli_runner().invoke(args=["index", "rollback"])
        assert done.exit_code == 0, done.output

    @property
    def another_model(self) -> Change:
        """Vectors of the other model."""
        return Change(f"EMBEDDING_BASE_URL={self.model.base_url}\nEMBEDDING_MODEL=another\n", "another")

    def make(self, change: Change) -> None:
        """As an operator does it: other settings, and a reload."""
        (self.service.cwd / ".env").write_text(change.settings)
        self.service.process.send_signal(signal.SIGHUP)

    def in_phase(self, phase: str) -> list[Asked]:
        """What was asked while it lasted."""
        names = list(self.began)
        following = names[names.index(phase) + 1 :]
        end = self.began[following[0]] if following else float("inf")
        return [asked for asked in self.crowd.asked if self.began[phase] <= asked.at < end]


@contextmanager
def switching_site(
    folder: Path,
    stores: Servers,
    *,
    documents: int,
    clients: int,
    embedding_ms: float,
    asides: int = 0,
    rest_s: float = 0,
) -> Iterator[SwitchingSite]:
    """The site on *stores* with all vectors of the model that comes with the service, and a crowd that asks.

    *embedding_ms*: how long the other model takes for a batch of eight passages; *asides*: see `write_documents`;
    *rest_s*: how long one who was answered waits before the next question.
    """
    facts = write_documents(folder / "documents", documents, asides)
    with FakeModelServer() as model:
        model.configure(dimension=1024, embedding_ms=embedding_ms)  # words rarely fall together
        variables = {**stores.variables(), "WORKERS": "2", "KNOWLEDGE_DIR": str(folder / "documents")}
        service = GunicornService(folder / "data", **variables)  # type: ignore[arg-type] # as in stacks.py
        database = open_database(variables["DATABASE_URI"])
        with service:
            with service.client(KEY) as client:
                service.wait_for(lambda: all_indexed(client, database, documents), LIMIT_S)
            with Crowd(service.url, facts, clients, rest_s) as crowd:
                yield SwitchingSite(service, database, model, crowd)
        database.close()


def all_indexed(client: httpx.Client, database: Database, documents: int) -> bool:
    """Whether every document is found by its meaning."""
    with database.open_read_session() as session:
        ready = session.scalar(
            select_everywhere(Document)
            .with_only_columns(func.count(Document.tenant_id))
            .where(Document.state == "ready")
        )
    return ready == documents and client.get("/ready").is_success


def switch_and_go_back(site: SwitchingSite, change: Change, *, questions: int, pause_s: float = 0) -> None:
    """The whole way: *change*, its index built, switched to, and gone back from.

    Before, after and after again people go on asking: so many *questions* at least, and for *pause_s*.
    """
    site.enter("before")
    site.let_ask(questions, pause_s)
    site.enter("build")
    site.make(change)
    site.wait_for_states({1: "kept", 2: "serving"})
    site.wait_for_workers(f"Index 2, made with {change.model}, answers from now on.")
    site.enter("after the switch")
    site.let_ask(questions, pause_s)
    site.enter("after the rollback")
    site.roll_back()
    site.wait_for_states({1: "serving", 2: "kept"})
    site.wait_for_workers(f"Index 1, made with {BUILT_IN}, answers from now on.")
    site.let_ask(questions, pause_s)

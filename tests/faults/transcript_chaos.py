"""Thousands of turns while workers are killed and PostgreSQL is restarted; then the transcript is compared with what
was acknowledged, and the text of deleted conversations is looked for everywhere.

    python -m tests.faults.transcript_chaos --turns 2000 --seed 1

Callers of two tenants ask in conversations of several turns, each with an Idempotency-Key, and send again what broke
off. Exit code 1 if an acknowledged turn is not in SQL exactly once and in its place, or something of a deleted one is
left.
"""

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue

import httpx
from redis import Redis

from domain.db import Database
from domain.db_opening import open_database
from domain.models import Base, Turn
from domain.scoping import EVERYWHERE, select_everywhere
from tests.faults.caller import Caller, Heard
from tests.faults.site import Site, site
from tests.gunicorn_service import KEY
from tests.servers.postgres import PostgresServer

TURNS_A_TALK = 5
_LIMIT_S = 120.0  # of a turn with all its tries
_WRITTEN_S = 120.0  # within which the last turns have to be in SQL
WRONG = (
    "lost",
    "twice",
    "out of order",
    "failed after an answer was told",
    "of another tenant",
    "left of what was deleted",
)


@dataclass
class Talk:
    """A conversation of a tenant: its questions, and what each was answered."""

    id: str
    tenant: str
    key: str
    questions: list[str]
    heard: list[Heard] = field(default_factory=list)


def run(folder: Path, *, turns: int, seed: int, callers: int, pause_s: float) -> Counter[str]:
    """What came out, counted; those of `WRONG` must be 0."""
    with PostgresServer(folder / "postgres") as postgres:
        # What was deleted must not be found in an answer that is kept to be given again, so there are none.
        options = {"DATABASE_URI": postgres.new_database(), "RUN_TTL": "3600", "CACHE_ENABLED": "false"}
        with site(folder, MAX_TURNS_PER_KEY="1000", RATE_LIMIT_ENABLED="false", **options) as made:
            made.model.configure(first_token_ms=50, gap_ms=5, tokens=20)
            talks = _plan(made, turns, random.Random(seed))
            done = _talk_under_harm(made, postgres, talks, seed=seed, callers=callers, pause_s=pause_s)
            made.service.wait_for(lambda: made.service.workers())
            with closing(open_database(options["DATABASE_URI"])) as database:
                found = _compare(made, database, talks)
                return found + done + _delete_some(made, database, talks)


def _plan(site: Site, turns: int, chance: random.Random) -> list[Talk]:
    keys = {"default": KEY, "globex": site.service.new_key("globex", scopes=["all"])}
    letters = "0123456789abcdefghijklmnopqrstuvwxyz"
    talks = []
    for number in range(max(1, turns // TURNS_A_TALK)):
        tenant = ("default", "globex")[number % 2]
        marks = ["mk" + "".join(chance.choices(letters, k=8)) for _ in range(TURNS_A_TALK)]
        asked = [f"How much does a dormitory room cost, {mark}?" for mark in marks]
        talks.append(Talk(f"talk-{number // 2}", tenant, keys[tenant], asked))  # two tenants have the same ids
    return talks


def _talk_under_harm(
    site: Site, postgres: PostgresServer, talks: list[Talk], *, seed: int, callers: int, pause_s: float
) -> Counter[str]:
    waiting: SimpleQueue[Talk] = SimpleQueue()
    for talk in talks:
        waiting.put(talk)
    done, began_s, chance = Counter[str](), time.monotonic(), random.Random(seed)
    asking = [threading.Thread(target=_hold_talks, args=(site, waiting)) for _ in range(callers)]
    for thread in asking:
        thread.start()
    # In this thread: PostgreSQL ends with the one that has started it.
    while any(thread.is_alive() for thread in asking):
        _wait(asking, chance.uniform(0.6, 1.4) * pause_s)
        if chance.random() < 0.5:
            if site.has_started():  # else none would ever serve where starting takes long
                site.kill(chance.choice(site.service.workers()))
                done["workers killed"] += 1
        else:
            postgres.kill()
            time.sleep(chance.uniform(0.2, 2.0))  # for so long it is away
            postgres.start()
            done["PostgreSQL restarted"] += 1
    done["seconds"] = round(time.monotonic() - began_s)
    return done


def _wait(threads: list[threading.Thread], pause_s: float) -> None:
    """For so long, or until all threads have ended."""
    until_s = time.monotonic() + pause_s
    while time.monotonic() < until_s and any(thread.is_alive() for thread in threads):
        time.sleep(0.05)  # between two looks


def _hold_talks(site: Site, talks: "SimpleQueue[Talk]") -> None:
    while True:
        try:
            talk = talks.get_nowait()
        except Empty:
            return
        for number, question in enumerate(talk.questions):
            caller = Caller(site, talk=talk.id, question=question, limit_s=_LIMIT_S, streams=number % 2 == 0)
            caller._client = site.service.client(talk.key)
            caller.run()
            talk.heard.append(caller.heard)


def _acknowledged(talk: Talk) -> list[str]:
    """The runs whose answers were told."""
    return [heard.run_id for heard in talk.heard if heard.end and heard.end["type"] == "done"]


def _compare(site: Site, database: Database, talks: list[Talk]) -> Counter[str]:
    wanted = {run_id for talk in talks for run_id in _acknowledged(talk)}
    kept: dict[str, Turn] = {}
    began_s = time.monotonic()
    while wanted - kept.keys() and time.monotonic() < began_s + _WRITTEN_S:
        time.sleep(0.2)  # between two looks
        with database.open_read_session() as session:
            kept = {turn.run_id: turn for turn in session.scalars(select_everywhere(Turn))}
    found = Counter({"turns": sum(len(talk.questions) for talk in talks), "acknowledged": len(wanted)})
    found["lost"] = len(wanted - kept.keys())
    with database.open_read_session() as session:
        rows = list(
            session.scalars(select_everywhere(Turn).order_by(Turn.tenant_id, Turn.conversation_id, Turn.sequence))
        )
    found["in SQL"] = len(rows)
    for talk in talks:
        said = [row for row in rows if (row.tenant_id, row.conversation_id) == (talk.tenant, talk.id)]
        questions = [row.question for row in said if row.status == "completed"]
        found["twice"] += len(questions) - len(set(questions))
        runs = [row.run_id for row in said if row.run_id in wanted]
        failed = [row for row in said if row.run_id in wanted and row.status != "completed"]
        found["failed after an answer was told"] += len(failed)
        found["out of order"] += runs != _acknowledged(talk)
        found["of another tenant"] += any(question not in talk.questions for question in questions)
    return found


def _delete_some(site: Site, database: Database, talks: list[Talk]) -> Counter[str]:
    """Every fifth conversation is deleted for good; what is left of its questions in SQL, Redis and files."""
    deleted, kept = talks[::5], [talk for number, talk in enumerate(talks) if number % 5]
    for talk in deleted:
        with site.service.client(talk.key) as client:
            _delete(client, talk.id)
    with database.open_read_session() as session:
        tables = [
            str(row)
            for table in Base.metadata.sorted_tables
            for row in session.execute(table.select(), execution_options=EVERYWHERE)
        ]
    with closing(Redis.from_url(site.redis.url)) as redis:
        stored = b"".join(bytes(redis.dump(key) or b"") + key for key in redis.scan_iter(count=1000))
    files = b"".join(path.read_bytes() for path in site.service.data_dir.rglob("*") if path.is_file())
    everything = "\n".join(tables).encode() + stored + files
    marks = [question.split()[-1].strip("?").encode() for talk in deleted for question in talk.questions]
    still = [question.split()[-1].strip("?").encode() for talk in kept for question in talk.questions]
    found = Counter({"conversations deleted": len(deleted)})
    found["left of what was deleted"] = sum(mark in everything for mark in marks)
    found["questions of others that are there"] = sum(mark in everything for mark in still)
    return found


def _delete(client: httpx.Client, conversation_id: str) -> None:
    path = f"/v1/conversations/{conversation_id}"
    assert client.delete(path, params={"permanent": "true"}).status_code == 204
    assert client.get(path).status_code == 404


def main() -> int:
    """Run it; 1 if something is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--turns", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--callers", type=int, default=16)
    parser.add_argument("--pause-s", type=float, default=4.0, help="between two acts of harm, about")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = run(Path(folder), turns=chosen.turns, seed=chosen.seed, callers=chosen.callers, pause_s=chosen.pause_s)
    for name, count in found.items():
        print(f"{name:36} {count:6}")
    return 1 if any(found[name] for name in WRONG) else 0


if __name__ == "__main__":
    sys.exit(main())

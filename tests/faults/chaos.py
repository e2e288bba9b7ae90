"""Thousands of turns while workers are killed, Redis restarts and gunicorn reloads; what was acknowledged is then read.

    python -m tests.faults.chaos --turns 2000 --seed 1

Callers ask in conversations of several turns, each with an Idempotency-Key, half of them for a stream. They send again
what broke off, and go on with broken streams. Exit code 1 if anything acknowledged is lost or stands twice, or a stream
had a gap, a repeat or no end.
"""

import argparse
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue

from tests.faults.caller import Caller, Heard
from tests.faults.site import Site, site

TURNS_A_TALK = 5
_LIMIT_S = 90.0  # of a turn with all its tries


@dataclass
class Talk:
    """A conversation: its questions, and what each was answered."""

    id: str
    questions: list[str]
    heard: list[Heard] = field(default_factory=list)


@dataclass
class Chaos:
    """Does harm every few seconds until told to stop."""

    site: Site
    seed: int
    pause_s: float
    done: Counter[str] = field(default_factory=Counter)
    over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Do harm."""
        chance = random.Random(self.seed)
        while not self.over.wait(chance.uniform(0.6, 1.4) * self.pause_s):
            harm = chance.choices((self._kill, self._restart_redis, self._reload), weights=(8, 1, 1))[0]
            harm(chance)
            self.done[harm.__name__.strip("_")] += 1

    def _kill(self, chance: random.Random) -> None:
        if workers := self.site.service.workers():
            self.site.kill(chance.choice(workers))

    def _restart_redis(self, chance: random.Random) -> None:
        self.site.redis.kill()
        self.site.redis.start()

    def _reload(self, chance: random.Random) -> None:
        self.site.service.process.send_signal(signal.SIGHUP)


def talk_through(site: Site, talks: "SimpleQueue[Talk]") -> None:
    """Hold one conversation after the other, to the last one."""
    while True:
        try:
            talk = talks.get_nowait()
        except Empty:
            return
        for number, question in enumerate(talk.questions):
            caller = Caller(site, talk=talk.id, question=question, limit_s=_LIMIT_S, streams=number % 2 == 0)
            caller.run()
            talk.heard.append(caller.heard)


def verdict(site: Site, talks: list[Talk]) -> Counter[str]:
    """What is wrong, counted, after reading all conversations and runs."""
    found: Counter[str] = Counter()
    with closing(site.client()) as client:
        for talk in talks:
            kept = client.get(f"/v1/conversations/{talk.id}").json().get("messages", [])
            asked = Counter(message["content"] for message in kept if message["role"] == "user")
            said = [message["content"] for message in kept if message["role"] == "assistant"]
            found["answers twice"] += max(0, len(said) - len(asked))
            found["questions twice"] += sum(count - 1 for count in asked.values())
            for question, heard in zip(talk.questions, talk.heard, strict=True):
                end = heard.end or {}
                found["turns"] += 1
                found["acknowledged"] += end.get("type") == "done"
                found["failed"] += end.get("type") != "done"
                found["streams without an end"] += heard.end is None
                found["streams with gaps or repeats"] += bool(heard.end and heard.faults())
                found["tries that broke off"] += heard.breaks
                found["refusals"] += len(heard.refusals)
                found["runs asked for anew"] += heard.losses
                if end.get("type") == "done":
                    is_kept = asked[question] and end["answer"] in said
                    # The answer says so where it is kept by one process only.
                    in_memory = end["persistence"] == "memory"
                    found["acknowledged in memory only"] += in_memory
                    if not is_kept:
                        found["lost with the memory of a worker" if in_memory else "lost"] += 1
                        print("lost:", talk.id, question, end["answer"][:90], end["persistence"], file=sys.stderr)
                    result = client.get(f"/v1/runs/{heard.run_id}").json().get("result")
                    if result is None or result["answer"] != end["answer"]:
                        found["runs that tell another answer" if result else "results that are not kept"] += 1
                else:
                    print("failed:", end or heard, file=sys.stderr)
    return found


WRONG = (
    "lost",
    "questions twice",
    "answers twice",
    "streams without an end",
    "streams with gaps or repeats",
    "runs that tell another answer",
)


TOLD = (
    "acknowledged in memory only",
    "lost with the memory of a worker",
    "results that are not kept",
    "tries that broke off",
    "refusals",
    "runs asked for anew",
)


def main() -> int:
    """Run it; 1 if something was lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--callers", type=int, default=16)
    parser.add_argument("--pause-s", type=float, default=4.0, help="between two acts of harm, about")
    chosen = parser.parse_args()
    marks = random.Random(chosen.seed)
    count = max(1, chosen.turns // TURNS_A_TALK)
    talks = [Talk(f"talk-{chosen.seed}-{number}", _questions(marks)) for number in range(count)]
    waiting: SimpleQueue[Talk] = SimpleQueue()
    for talk in talks:
        waiting.put(talk)
    with tempfile.TemporaryDirectory() as folder, site(Path(folder), RUN_TTL="3600", MAX_TURNS_PER_KEY="1000") as made:
        made.model.configure(first_token_ms=100, gap_ms=10, tokens=40)
        chaos, began_s = Chaos(made, chosen.seed, chosen.pause_s), time.monotonic()
        harming = threading.Thread(target=chaos.run)
        harming.start()
        callers = [threading.Thread(target=talk_through, args=(made, waiting)) for _ in range(chosen.callers)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        chaos.over.set()
        harming.join()
        took_s = time.monotonic() - began_s
        made.reset()
        found = verdict(made, talks)
    _print(found, chaos.done, took_s)
    return 1 if any(found[name] for name in WRONG) else 0


def _questions(marks: random.Random) -> list[str]:
    letters = "0123456789abcdefghijklmnopqrstuvwxyz"
    named = ("mk" + "".join(marks.choices(letters, k=8)) for _ in range(TURNS_A_TALK))
    return [f"How much does a dormitory room cost, {mark}?" for mark in named]


def _print(found: Counter[str], harm: Counter[str], took_s: float) -> None:
    print(f"{took_s:.0f} s; " + ", ".join(f"{name} {count}" for name, count in sorted(harm.items())))
    for name in ("turns", "acknowledged", "failed", *WRONG, *TOLD):
        print(f"{name:34} {found[name]:6}")
    requests = found["turns"] + found["tries that broke off"] + found["refusals"]
    failed = found["tries that broke off"] + found["refusals"]
    print(f"{'requests failed':34} {failed:6} of {requests}, {failed / requests:.1%}")


if __name__ == "__main__":
    sys.exit(main())

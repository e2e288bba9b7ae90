"""Tries every attack in the sandbox: `python -m tests.security.sandbox.tried`, with its targets as JSON on its input.

It writes which walls stand and what came of each attack, as JSON. With the argument `without-walls` each attack gets an
ordinary process, with `may-write` one that may make files in a folder of its own.
"""

import json
import os
import resource
import sys
import tempfile
import time
from dataclasses import asdict, replace
from io import BytesIO
from typing import Any

from tests.security.sandbox.attacks import ATTACKS, attempt, remember_something
from utils.sandbox.jobs import SandboxJob
from utils.sandbox.process import ProcessEnded
from utils.sandbox.sandbox import Sandbox

JOB = SandboxJob(
    serve="tests.security.sandbox.attacks:attempt",
    preload=("tests.security.sandbox.attacks",),
    memory_bytes=1_000_000_000,
    cpu_s=30,
)


def main() -> None:
    """Write the outcomes."""
    targets = json.loads(sys.stdin.read())
    if "without-walls" in sys.argv:
        told: dict[str, Any] = {"standing": {}, "missing": {}}
        outcomes = {name: try_without_walls(name, targets) for name in ATTACKS}
    else:
        with Sandbox() as sandbox, tempfile.TemporaryDirectory() as folder:
            told = asdict(sandbox.find_walls())
            job = replace(JOB, writes=folder) if "may-write" in sys.argv else JOB
            outcomes = {name: try_attack(sandbox, name, targets, job) for name in ATTACKS}
    print(json.dumps({**told, "outcomes": outcomes}))


def try_without_walls(name: str, targets: Any) -> dict[str, str]:
    """The same in a child of this process, which has things to be found in it, and limits that can be raised."""
    remember_something(targets)
    asked, answered = os.pipe()
    request = BytesIO(json.dumps({"attack": name, "targets": targets}).encode() + b"\n")
    child = os.fork()
    if not child:
        os.dup2(answered, 3)
        os.dup2(answered, 50)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
        with os.fdopen(3, "wb") as answers:
            attempt(request, answers)
        os._exit(0)
    os.close(answered)
    with os.fdopen(asked, "rb") as answers:
        told = answers.readline()
    _, status = os.waitpid(child, 0)
    return dict(json.loads(told)) if told else {"ended": str(status)}


def try_attack(sandbox: Sandbox, name: str, targets: Any, job: SandboxJob = JOB) -> dict[str, str]:
    """What came of an attack: "got" or "refused", and what; "ended" where it cost the process its life."""
    with sandbox.start(job) as process:
        deadline = time.monotonic() + 30
        try:
            process.write(json.dumps({"attack": name, "targets": targets}).encode() + b"\n", deadline)
            answer: dict[str, str] = json.loads(process.read_line(100_000, deadline))
        except ProcessEnded as exc:
            return {"ended": str(exc)}
        return answer


if __name__ == "__main__":
    main()

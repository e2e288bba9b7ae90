"""A parser that a hostile file has taken over: what it can do, on this kernel and on such as lack a wall.

Where a wall is missing, the attacks that it alone stops come to their end: so each of them is known to be one.
"""

import ctypes.util
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.ingestion.workers import workers_of
from tests.security.sandbox.attacks import ATTACKS
from tests.security.sandbox.tried import JOB, try_attack
from tests.service import ROOT, Service, plain_environment
from utils.sandbox.sandbox import Sandbox
from utils.sandbox.walls import Wall

pytestmark = [pytest.mark.long, pytest.mark.skipif(sys.platform != "linux", reason="there are walls on Linux alone")]
SECRET = secrets.token_hex()
VICTIM = (
    "import ctypes; kept = ctypes.create_string_buffer(b'SECRET'); print(ctypes.addressof(kept), flush=True); input()"
)
# What a kernel lacks, which walls are then missing, and the attacks that it lacks the means for.
KERNELS: dict[str, tuple[str, set[Wall], set[str]]] = {
    "this one": ("", set(), set()),
    "without Landlock": ("landlock", set(), set()),
    "without Landlock and namespaces": ("landlock,namespaces", {Wall.FILES}, set()),
    "without seccomp": ("seccomp", {Wall.CALLS}, set()),
    "with nothing": (
        "landlock,namespaces,seccomp,privileges,memory,limits",
        set(Wall),
        {
            "enter_a_namespace",
            "let_others_look_into_it",
            "lower_the_limits_of_the_service",
            "mount_a_file_system",
            "raise_its_own_limits",
        },
    ),
}
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="as root: others are stopped by more than our walls")


@dataclass(frozen=True)
class Tried:
    """What came of the attacks on one kernel, and which walls were said to stand and to be missing."""

    standing: dict[str, str]
    missing: dict[str, str]
    outcomes: dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def targets(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A running service with a document of another tenant, and a process of our user with a secret."""
    folder = tmp_path_factory.mktemp("targets")
    (folder / "victim").write_text("to be deleted")
    library = ctypes.util.find_library("m")
    shutil.copy(_path_of(library or ""), folder / "foreign.so")
    with (
        socket.socket(socket.AF_UNIX) as abstract,
        subprocess.Popen(
            [sys.executable, "-c", VICTIM],
            env={"SECRET": SECRET},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as victim,
        service.client(service.new_key("safekeeper")) as client,
    ):
        abstract.bind(f"\0pustaka-test-{os.getpid()}")
        abstract.listen()
        assert victim.stdout is not None
        yield {
            "service": victim.pid,
            "address": int(victim.stdout.readline()),
            "secret": SECRET,
            "data": str(service.data_dir),
            "document": str(_uploaded(client, service)),
            "home": str(Path.home()),
            "names": os.listdir(Path.home()),
            "root": str(ROOT),
            "library": str(folder / "foreign.so"),
            "port": service.port,
            "socket": str(service.data_dir / "valkey.sock"),
            "abstract": f"pustaka-test-{os.getpid()}",
            "folder": str(folder),
        }
        victim.kill()


def _path_of(library: str) -> str:
    """Where the loader finds a library."""
    with open("/proc/self/maps") as maps:
        return next(line.split()[-1] for line in maps if "/libc.so" in line or f"/{library}" in line)


def _uploaded(client: httpx.Client, service: Service) -> Path:
    """The file in which the service keeps a document of the client's."""
    dataset = client.post("/v1/tenant/datasets/", json={"name": "private"}).json()
    text = f"The code of the safe is {SECRET}."
    files = [("files", ("safe.txt", text.encode()))]
    address = f"/v1/tenant/datasets/{dataset['id']}/documents/upload"
    assert client.post(address, files=files).status_code == 202
    return next(path for path in service.data_dir.rglob("*") if path.is_file() and "files" in path.parts)


def run(arguments: list[str], lacks: str, targets: dict[str, Any]) -> Tried:
    """Try every attack on a kernel that *lacks* something."""
    command = [sys.executable, "-m", "tests.security.sandbox.tried", *arguments]
    if lacks:
        command = [sys.executable, "-m", "tests.security.sandbox.lesser_kernel", lacks, *command]
    (Path(targets["folder"]) / "victim").write_text("to be deleted")
    shutil.rmtree(Path(targets["folder"]) / "made", ignore_errors=True)
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=plain_environment({}),
        input=json.dumps(targets),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return Tried(**json.loads(done.stdout))


@pytest.mark.parametrize("kernel", KERNELS)
def test_every_attack_meets_a_wall_and_what_no_wall_stops_is_told_as_missing(
    kernel: str, targets: dict[str, Any]
) -> None:
    lacks, missing, impossible = KERNELS[kernel]
    tried = run([], lacks, targets)
    assert set(tried.missing) == missing
    assert set(tried.standing) == set(Wall) - missing
    open_to = {name for name, attack in ATTACKS.items() if attack.walls and attack.walls <= missing} - impossible
    succeeded = {name for name, outcome in tried.outcomes.items() if "got" in outcome}
    assert succeeded == open_to if os.geteuid() == 0 else succeeded <= open_to


@pytest.mark.parametrize("kernel", ["this one", "without Landlock"])
def test_what_may_make_files_in_its_folder_can_do_that_and_start_threads_and_nothing_else(
    kernel: str, targets: dict[str, Any], tmp_path: Path
) -> None:
    tried = run(["may-write"], KERNELS[kernel][0], targets)
    assert {name for name, outcome in tried.outcomes.items() if "got" in outcome} == {"start_a_thread"}
    with Sandbox() as sandbox:
        answer = try_attack(sandbox, "write_a_file", {"folder": str(tmp_path)}, replace(JOB, writes=str(tmp_path)))
    assert (answer, (tmp_path / "left").read_bytes()) == ({"got": "12"}, b"for the next")


def test_nothing_may_make_files_where_it_could_make_them_anywhere(targets: dict[str, Any]) -> None:
    lacks, _, _ = KERNELS["without Landlock and namespaces"]
    command = [sys.executable, "-m", "tests.security.sandbox.lesser_kernel", lacks, sys.executable, "-m"]
    done = subprocess.run(
        [*command, "tests.security.sandbox.tried", "may-write"],
        cwd=ROOT,
        env=plain_environment({}),
        input=json.dumps(targets),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode != 0
    assert "it could write anywhere, since a wall is missing" in done.stderr


@as_root
def test_in_an_ordinary_process_every_attack_succeeds(targets: dict[str, Any]) -> None:
    tried = run(["without-walls"], "", targets)
    assert [name for name, outcome in tried.outcomes.items() if "got" not in outcome] == []


def test_the_process_of_one_document_cannot_reach_that_of_another(targets: dict[str, Any]) -> None:
    with Sandbox() as sandbox, sandbox.start(JOB):
        [other] = workers_of(os.getpid())
        around = {**targets, "service": other}
        attacks = [name for name in ATTACKS if name.endswith("the_service") or "processes_there" in name]
        outcomes = {name: try_attack(sandbox, name, around) for name in attacks}
    assert len(outcomes) >= 6
    assert [name for name, outcome in outcomes.items() if "got" in outcome] == []


def test_what_one_document_leaves_in_its_process_is_gone_with_it(targets: dict[str, Any]) -> None:
    with Sandbox() as sandbox:
        assert "got" in try_attack(sandbox, "remember_something", targets)
        assert "refused" in try_attack(sandbox, "find_what_was_remembered", targets)

"""The watch over event loops: what it notes of a service process, and what it lets pass."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.service import WATCH

PROGRAM = """
import asyncio, gc, hashlib, time

def compute(s):
    until = time.thread_time() + s
    while time.thread_time() < until:
        hashlib.sha256(b"x" * 1000).digest()

async def work_on_the_loop(): compute(0.5)
async def sleep_on_the_loop(): time.sleep(0.7)
async def work_in_a_thread(): await asyncio.to_thread(compute, 0.3)
async def wait_as_one_should(): await asyncio.sleep(0.7)
async def many_short_steps():
    for _ in range(30):
        compute(0.01)
        await asyncio.sleep(0)

class Cycle:
    def __init__(self, s): self.s, self.me = s, self
    def __del__(self): compute(self.s)

def collect(s):
    Cycle(s)
    gc.collect()

async def collect_a_little(): collect(0.1)
async def collect_a_lot(): collect(1.0)

async def main():
    await asyncio.gather({name}())

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("name", "held"),
    [
        ("work_on_the_loop", ["worked"]),
        ("sleep_on_the_loop", ["waited"]),
        ("work_in_a_thread", []),
        ("wait_as_one_should", []),
        ("many_short_steps", []),
        ("collect_a_little", []),
        ("collect_a_lot", ["collected"]),
    ],
)
def test_only_what_holds_the_loop_is_noted_with_the_place_where_it_does(
    tmp_path: Path, name: str, held: list[str]
) -> None:
    file = tmp_path / "held"
    environment = {**os.environ, "PYTHONPATH": str(WATCH), "LOOP_HELD_FILE": str(file)}
    program = PROGRAM.replace("{name}", name)
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=60)
    noted = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    limits = {"worked": 0.05, "waited": 0.5, "collected": 0.25}
    assert [name for finding in noted for name, s in limits.items() if finding[f"{name}_s"] >= s] == held
    assert all(f"in {name}" in finding["what"] for finding in noted)


def test_a_process_without_the_variable_is_left_as_it_is() -> None:
    environment = {**os.environ, "PYTHONPATH": str(WATCH)}
    program = "import asyncio.events, uvloop; print(asyncio.events.Handle._run.__qualname__)"
    told = subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True)
    assert told.stdout.strip() == "Handle._run"

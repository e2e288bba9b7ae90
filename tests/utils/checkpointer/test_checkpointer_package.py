"""The checkpointer as another project has it: installed from the checkout, alone, into an empty environment."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.service import ROOT
from tests.utils.checkpointer.conftest import Server

pytestmark = pytest.mark.long

PACKAGE = ROOT / "utils" / "checkpointer"
UV = Path(sys.executable).parent / "uv"
# What that project has beside it: LangGraph's agents, and the suite.
BESIDE = ("langchain", "langgraph-checkpoint-conformance", "mypy")


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that holds the package, with what it names as needed, and nothing of ours."""
    folder = tmp_path_factory.mktemp("other-project")
    source = shutil.copytree(PACKAGE, folder / "checkpointer", ignore=shutil.ignore_patterns("__pycache__"))
    run(UV, "venv", "-q", "--python", sys.executable, folder / "venv")
    python = folder / "venv" / "bin" / "python"
    pins = ROOT / "requirements-dev.txt", ROOT / "requirements.txt"
    constraints = [part for file in pins for part in ("-c", file)]
    run(UV, "pip", "install", "-q", "--python", python, *constraints, source, *BESIDE)
    return python


def run(*command: object, **variables: str) -> str:
    """What the command prints, somewhere else than in the checkout; it must succeed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        list(map(str, command)), cwd="/", env=environment | variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def report(python: Path, valkey: Server) -> Any:
    """What the other project's program has seen."""
    valkey.client.flushall()
    program = ROOT / "tests" / "utils" / "checkpointer" / "other_project.py"
    return json.loads(run(python, program, valkey.url).splitlines()[-1])


def test_it_passes_langgraphs_whole_conformance_suite(report: Any) -> None:
    passed = sum(counts[0] for counts in report["conformance"].values())
    failed = sum(counts[1] for counts in report["conformance"].values())
    assert (len(report["conformance"]), passed, failed) == (8, 81, 0)


def test_an_agent_with_a_response_format_goes_on_over_three_turns(report: Any) -> None:
    assert report["answers"] == ["answer 0", "answer 1", "answer 2"]


def test_a_class_that_nobody_has_named_is_refused_when_it_is_written(report: Any) -> None:
    assert report["refusal"].startswith("TypeNotAllowed: __main__.Answer cannot be stored: add it to allowed_types")
    assert "allowed_types=[Answer]" in report["refusal"]


def test_its_types_are_known_to_a_type_checker(python: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "from pustaka_checkpointer import RedisCheckpointer\n"
        'with RedisCheckpointer.from_conn_string("redis://localhost") as saver:\n'
        "    reveal_type(saver)\n"
    )
    said = run(python, "-m", "mypy", "--strict", "--follow-imports=silent", "--cache-dir", tmp_path / "cache", program)
    assert 'Revealed type is "pustaka_checkpointer.saver.RedisCheckpointer"' in said

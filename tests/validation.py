"""The checks of an installation: in this process, or `validate.py` as operators run it, in a folder of its own."""

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from bootstrap.checks.table import run_checks
from tests import preloaded
from tests.service import ROOT, plain_environment

LIMIT_S = 100.0


@dataclass(frozen=True)
class Report:
    """How it ended, what it printed, and its findings where that was JSON."""

    code: int
    text: str
    rows: list[dict[str, Any]]

    def of(self, check: str) -> list[dict[str, Any]]:
        """The rows of *check*."""
        return [row for row in self.rows if row["check"] == check]

    @property
    def failing(self) -> list[str]:
        """The checks that fail."""
        return [row["check"] for row in self.rows if row["level"] == "FAILURE"]

    @property
    def checked(self) -> set[str]:
        """All that was looked at."""
        return {row["check"] for row in self.rows}

    @property
    def warned_of(self) -> list[str]:
        """The checks with a warning."""
        return [row["check"] for row in self.rows if row["level"] == "warning"]


def check(folder: Path, *groups: str, root: Path = ROOT, offline: bool = False, **variables: str) -> Report:
    """The checks of *groups* in this process, in *folder*; *root* is where the service's sources are."""
    environment = plain_environment({"DATA_DIR": str(folder / "data"), **variables})
    with mock.patch.dict(os.environ, environment, clear=True), contextlib.chdir(folder):
        found = run_checks(root, offline=offline, only=groups)
    rows = [{"group": group, **asdict(finding)} for group, findings in found.items() for finding in findings]
    report = Report(0, json.dumps(rows, ensure_ascii=False), rows)
    assert not [row for row in rows if "The check itself broke" in row["found"]], report.text
    return report


def run(
    folder: Path, *options: str, root: Path = ROOT, python: Path | str = sys.executable, **variables: str
) -> Report:
    """The command in *folder*."""
    program = [str(root / "validate.py"), *options]
    environment = plain_environment({"DATA_DIR": str(folder / "data"), **variables})
    if root == ROOT and python == sys.executable:
        done = preloaded.run(program, preloaded=True, cwd=folder, env=environment, timeout=LIMIT_S)
    else:
        command = [str(python), *program]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    assert "Traceback" not in done.stderr, done.stderr
    return Report(done.returncode, done.stdout + done.stderr, [])


def validate(
    folder: Path, *options: str, root: Path = ROOT, python: Path | str = sys.executable, **variables: str
) -> Report:
    """The command with its findings."""
    report = run(folder, "--json", *options, root=root, python=python, **variables)
    try:
        rows: list[dict[str, Any]] = json.loads(report.text)["checks"]
    except ValueError:
        raise AssertionError(f"no JSON, but code {report.code}: {report.text}") from None
    return Report(report.code, report.text, rows)

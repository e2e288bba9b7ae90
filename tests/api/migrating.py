"""`flask migrate-data` in a process that can be killed.

The process is a fork of one that has imported everything already, which takes 3 s.
"""

import multiprocessing
import sys
import time
from collections.abc import Callable
from pathlib import Path

from click.testing import Result
from flask import Flask

from api.commands import register_commands
from config import load_settings

LIMIT_S = 30.0
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([__name__])


def migrate(data_dir: Path, variables: dict[str, str], *arguments: str) -> Result:
    """`flask migrate-data` in this process."""
    app = Flask("pustaka")
    named = {name.lower(): value for name, value in variables.items()}
    app.extensions["settings"] = load_settings(_env_file=None, data_dir=data_dir, **named)
    register_commands(app)
    return app.test_cli_runner().invoke(args=["migrate-data", *arguments])


class Migrating:
    """`flask migrate-data --to production`, running."""

    def __init__(self, data_dir: Path, variables: dict[str, str]) -> None:
        self._told = data_dir.parent / "told.txt"
        self._process = _FORKS.Process(target=_migrate_and_exit, args=(data_dir, variables, self._told))
        self._process.start()

    def kill_when(self, condition: Callable[[], object]) -> None:
        """End it like a power cut as soon as *condition* is true, before it has finished."""
        deadline = time.monotonic() + LIMIT_S
        while not condition():
            assert self._process.is_alive(), self._told.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.002)  # between two looks
        self._process.kill()
        self._process.join(LIMIT_S)
        assert self._process.exitcode == -9

    def finish(self) -> tuple[int | None, str]:
        """Its exit code and what it printed."""
        self._process.join(LIMIT_S)
        return self._process.exitcode, self._told.read_text()


def _migrate_and_exit(data_dir: Path, variables: dict[str, str], told: Path) -> None:
    result = migrate(data_dir, variables, "--to", "production")
    told.write_text(result.output)
    sys.exit(result.exit_code)

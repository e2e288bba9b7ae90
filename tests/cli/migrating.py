"""`flask migrate-data` in a process that can be killed.

The process is a fork of one that has imported everything already, which takes 3 s.
"""

import multiprocessing
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from click.testing import Result
from flask import Flask

from cli.commands import register_commands
from config import load_settings
from tests.fakes.qdrant_engine import Answer
from tests.fakes.qdrant_server import FakeQdrantServer

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
        """End it like a power cut as soon as *condition* is true."""
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


class HoldingQdrant(FakeQdrantServer):
    """A server that holds back every answer while *holds*, asked after each request, says so.

    So a move that is to be killed at some point cannot get past it.
    """

    def __init__(self, *, api_key: str) -> None:
        super().__init__(api_key=api_key)
        self.holds: Callable[[], object] = lambda: False
        self.is_holding = threading.Event()

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        """See `FakeQdrantServer`."""
        answer = super().answer(method, path, headers, body)
        if self.holds():
            self.is_holding.set()
            self._let_go.wait(LIMIT_S)
        return answer

    @contextmanager
    def holding(self, condition: Callable[[], object]) -> Iterator[None]:
        """Hold answers back from when *condition* is true, until the block is left."""
        self._let_go = threading.Event()
        self.is_holding.clear()
        self.holds = condition
        try:
            yield
        finally:
            self.holds = lambda: False
            self._let_go.set()


def _migrate_and_exit(data_dir: Path, variables: dict[str, str], told: Path) -> None:
    result = migrate(data_dir, variables, "--to", "production")
    told.write_text(result.output)
    sys.exit(result.exit_code)

"""Checks beside each other, each with a limit of time, none able to end the others: standard library alone."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as OutOfTime
from dataclasses import dataclass
from typing import Any

from bootstrap.checks.finding import Finding, failure

Findings = Iterable[Finding]


@dataclass(frozen=True, slots=True)
class Check:
    """Something to look at: *name* is its row where it does not come to an end by itself."""

    name: str
    look: Callable[[], Findings]
    limit_s: float = 15.0


def waiting_for(look: Callable[[], Coroutine[Any, Any, list[Finding]]]) -> Callable[[], Findings]:
    """A coroutine function as a check, in an event loop of its own."""
    return lambda: asyncio.run(look())


def run_all(checks: Sequence[Check]) -> list[list[Finding]]:
    """The findings of every check, in order; all have begun before the first is waited for."""
    running = [(check, _start(check)) for check in checks]
    began = time.monotonic()
    return [_outcome(check, future, began + check.limit_s) for check, future in running]


def _start(check: Check) -> "Future[list[Finding]]":
    future: Future[list[Finding]] = Future()

    def work() -> None:
        try:
            future.set_result(list(check.look()))
        except BaseException as exc:  # whatever it is, somebody waits for it
            future.set_exception(exc)

    # A daemon: a check that hangs must not keep the command from ending.
    threading.Thread(target=work, name=f"check {check.name}", daemon=True).start()
    return future


def _outcome(check: Check, future: "Future[list[Finding]]", deadline: float) -> list[Finding]:
    try:
        return future.result(timeout=max(0.0, deadline - time.monotonic()))
    except OutOfTime:
        remedy = "See whether it is overloaded, or whether a firewall drops the connection."
        return [failure(check.name, f"This check did not come to an end within {check.limit_s:g} s.", remedy)]
    except (Exception, SystemExit) as exc:
        # Its words may hold anything, secrets too; its kind and place are enough to report it.
        found = f"The check itself broke: {type(exc).__name__} in {_place(exc)}."
        return [failure(check.name, found, "Report this as a bug of validate.py.")]


def _place(exc: BaseException) -> str:
    trace = exc.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "an unknown place" if trace is None else f"{trace.tb_frame.f_code.co_name}, line {trace.tb_lineno}"

"""Checks beside each other, each with a limit of time, none able to end the others: standard library alone."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as OutOfTime
from dataclasses import dataclass

from utils.findings import Finding, Level, failure, split_message

Findings = Iterable[Finding] | AsyncIterator[Finding]


@dataclass(frozen=True, slots=True)
class RunnableCheck:
    """Something to look at: *name* is its row where it does not come to an end by itself.

    What it raises as a `ProblemError` is a finding of *level*; *remedy*, where its message says nothing to do.
    """

    name: str
    look: Callable[[], Findings]
    limit_s: float = 15.0
    remedy: str = ""
    level: Level = Level.FAILURE


def run_all(checks: Sequence[RunnableCheck]) -> list[list[Finding]]:
    """The findings of every check, in order; all have begun before the first is waited for."""
    if not checks:
        return []
    pool = ThreadPoolExecutor(len(checks), thread_name_prefix="check")
    running = [(check, pool.submit(_collect, check)) for check in checks]
    pool.shutdown(wait=False)  # a check that hangs must not keep the others' findings back
    began = time.monotonic()
    return [_wait(check, future, began + check.limit_s) for check, future in running]


def _collect(check: RunnableCheck) -> list[Finding]:
    findings: list[Finding] = []
    try:
        found = check.look()
        if isinstance(found, AsyncIterator):
            asyncio.run(_drain(found, findings))
        else:
            for finding in found:  # one by one: what was found before an exception is kept
                findings.append(finding)
    except Exception as exc:
        # Not imported here, it needs packages: as long as nobody has, nobody can raise it.
        errors = sys.modules.get("utils.errors")
        if errors is None or not isinstance(exc, errors.ProblemError):
            raise
        findings.append(split_message(check.name, exc.detail, check.remedy, check.level))
    return findings


async def _drain(found: AsyncIterator[Finding], findings: list[Finding]) -> None:
    async for finding in found:
        findings.append(finding)


def _wait(check: RunnableCheck, future: "Future[list[Finding]]", deadline: float) -> list[Finding]:
    try:
        return future.result(timeout=max(0.0, deadline - time.monotonic()))
    except OutOfTime:
        remedy = "See whether it is overloaded, or whether a firewall drops the connection."
        return [failure(check.name, f"This check did not come to an end within {check.limit_s:g} s.", remedy)]
    except (Exception, SystemExit) as exc:
        # Its words may hold anything, secrets too; its kind and place are enough to report it.
        text = f"The check itself broke: {type(exc).__name__} in {_locate(exc)}."
        return [failure(check.name, text, "Report this as a bug of validate.py.")]


def _locate(exc: BaseException) -> str:
    trace = exc.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "an unknown place" if trace is None else f"{trace.tb_frame.f_code.co_name}, line {trace.tb_lineno}"

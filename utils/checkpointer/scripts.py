"""The Lua scripts and how they are called: one EVALSHA for an operation, EVAL where the server has lost the script."""

import hashlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, TypeVar

import redis
import redis.asyncio
from redis.exceptions import (
    ClusterDownError,
    ConnectionError,
    MasterDownError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TimeoutError,
    TryAgainError,
)

from utils.checkpointer.errors import StateUnreadable
from utils.errors import StoreUnavailable

NAMES = ("get", "list", "put", "restore", "sweep", "writes")
Argument = bytes | str | int
T = TypeVar("T")

# The server cannot serve now, and may later: down, failing over, full.
_AWAY = (
    ConnectionError,
    TimeoutError,
    ReadOnlyError,
    OutOfMemoryError,
    MasterDownError,
    ClusterDownError,
    TryAgainError,
)


@dataclass(frozen=True, slots=True)
class Call:
    """One round trip: a script of ours (*script* is its name) or, with an empty name, the command in *args*."""

    script: str
    keys: tuple[str, ...]
    args: tuple[Argument, ...]


# An operation, written once for both interfaces: it yields calls, is sent their replies, and returns its result.
Plan = Generator[Call, Any, T]


@dataclass(frozen=True, slots=True)
class _Script:
    source: str
    sha: str


class Scripts:
    """Executes plans over a blocking or an asyncio client.

    Both methods raise `StoreUnavailable` where the server does not answer or cannot serve, and `StateUnreadable` where
    it answers that the key is not what we keep there.
    """

    def __init__(self) -> None:
        folder = files("utils.checkpointer") / "lua"
        common = (folder / "common.lua").read_text()
        self._scripts = {name: _script(common + (folder / f"{name}.lua").read_text()) for name in NAMES}

    def run(self, client: redis.Redis, plan: Plan[T]) -> T:
        """The result of *plan* over a blocking client."""
        try:
            call = next(plan)
            while True:
                with _translated(call):
                    reply = self._call(client, call)
                call = plan.send(reply)
        except StopIteration as done:
            result: T = done.value
            return result

    async def arun(self, client: redis.asyncio.Redis, plan: Plan[T]) -> T:
        """The result of *plan* over an asyncio client."""
        try:
            call = next(plan)
            while True:
                with _translated(call):
                    reply = await self._acall(client, call)
                call = plan.send(reply)
        except StopIteration as done:
            result: T = done.value
            return result

    def _call(self, client: redis.Redis, call: Call) -> object:
        if not call.script:
            return client.execute_command(*call.args)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        script = self._scripts[call.script]
        try:
            return client.evalsha(script.sha, len(call.keys), *call.keys, *call.args)
        except NoScriptError:
            return client.eval(script.source, len(call.keys), *call.keys, *call.args)

    async def _acall(self, client: redis.asyncio.Redis, call: Call) -> object:
        if not call.script:
            return await client.execute_command(*call.args)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        script = self._scripts[call.script]
        try:
            return await client.evalsha(script.sha, len(call.keys), *call.keys, *call.args)
        except NoScriptError:
            return await client.eval(script.source, len(call.keys), *call.keys, *call.args)


def _script(source: str) -> _Script:
    return _Script(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


@contextmanager
def _translated(call: Call) -> Iterator[None]:
    try:
        yield
    except _AWAY as exc:
        raise StoreUnavailable("The conversation store did not answer.") from exc
    except ResponseError as exc:
        if not call.keys:
            raise
        # The wrong type under our key, or a record that the script could not take apart.
        raise StateUnreadable(call.keys[-1], str(exc)) from exc

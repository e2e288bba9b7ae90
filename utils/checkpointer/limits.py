"""How many commands a client has under way, how long each may take, and which of them travel together."""

import asyncio
import builtins
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import ConnectionError, ResponseError, TimeoutError

T = TypeVar("T")
_STEPS = 8
_BATCH_COMMANDS = 64  # they wait for each other's replies: together they are no more than the server does at once


class CommandLimiter:
    """At most *count* commands at one server (or cluster) at once, each for *timeout_s* at most.

    Waiting for a turn is not the server's time, unless the commands under way get no answer: then all who wait fail.
    A command that fails within *quick_s* keeps nobody waiting, and the others try for themselves.
    """

    def __init__(self, count: int, *, timeout_s: float, quick_s: float) -> None:
        self._free, self._timeout_s, self._quick_s = asyncio.Semaphore(count), timeout_s, quick_s
        self._failed_at = float("-inf")

    async def run(self, command: Callable[[], Awaitable[T]]) -> T:
        """The result of *command*.

        Raises:
            TimeoutError: it took too long, or others did while this one waited. And whatever the command raises.
        """
        began = time.monotonic()
        async with self._free:
            if self._failed_at > began:
                raise TimeoutError("no answer to the commands before")
            sent = time.monotonic()
            try:
                return await _run_within(self._timeout_s, command)
            except builtins.TimeoutError as exc:
                self._failed_at = time.monotonic()
                raise TimeoutError(f"no answer within {self._timeout_s:g} s") from exc
            except (ConnectionError, TimeoutError):
                if time.monotonic() - sent > self._quick_s:
                    self._failed_at = time.monotonic()
                raise


async def _run_within(timeout_s: float, command: Callable[[], Awaitable[T]]) -> T:
    """Run *command* for *timeout_s* of an event loop that is on time.

    A late loop finds the answer and the end of the time at once, and would call a server dead that has answered. So
    the time is counted in steps, each of which the loop must have come round for.
    """
    loop, timers = asyncio.get_running_loop(), list[asyncio.TimerHandle]()

    def advance() -> None:
        if len(timers) < _STEPS:
            timers.append(loop.call_later(timeout_s / _STEPS, advance))
        else:
            timeout.reschedule(loop.time())

    async with asyncio.timeout(None) as timeout:
        advance()
        try:
            return await command()
        finally:
            timers[-1].cancel()


class CommandBatcher:
    """Sends the commands that come while others are under way together, over a connection of its own beside *pool*'s.

    Only for commands that the server answers at once, and that may be sent again after a closed connection. It does
    for a batch what redis-py's pipeline does, at a third of the cost of a small one.
    """

    def __init__(self, pool: ConnectionPool, limiter: CommandLimiter) -> None:
        self._pool, self._limiter = pool, limiter
        self._connection: AbstractConnection | None = None
        self._waiting: list[_Command] = []
        self._sending: asyncio.Task[None] | None = None

    def reply(self, args: Sequence[bytes]) -> "asyncio.Future[Any]":
        """The server's reply to a command. A caller who is cancelled leaves the others theirs."""
        command = _Command(args, asyncio.get_running_loop().create_future())
        self._waiting.append(command)
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_all())
        return command.reply

    async def aclose(self) -> None:
        """Give up what is under way, and close the connection."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.wait([self._sending])
        if self._connection is not None:
            await self._connection.disconnect()

    async def _send_all(self) -> None:
        batch: list[_Command] = []
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_BATCH_COMMANDS], self._waiting[_BATCH_COMMANDS:]
                batch = [command for command in batch if not command.reply.done()]
                for command, answer in zip(batch, await self._limiter.run(partial(self._send, batch)), strict=True):
                    command.answer(answer)
        except BaseException as exc:
            # Also those who wait: they would only wait for the same.
            failure = exc if isinstance(exc, Exception) else ConnectionError("The client was closed.")
            for command in (*batch, *self._waiting):
                command.answer(failure)
            self._waiting.clear()
            if not isinstance(exc, Exception):
                raise
        finally:
            self._sending = None

    async def _send(self, batch: Sequence["_Command"]) -> list[object]:
        if self._connection is None:
            self._connection = self._pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        for is_repeated in (False, True):
            try:
                return await self._exchange(self._connection, [command.args for command in batch])
            except ConnectionError:
                await self._connection.disconnect()
                if is_repeated:
                    raise
        raise AssertionError("one of the two returns or raises")

    async def _exchange(self, connection: AbstractConnection, commands: Sequence[Sequence[bytes]]) -> list[object]:
        await self._pool.ensure_connection(connection)
        await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
        replies: list[object] = []
        for _ in commands:
            try:
                replies.append(await connection.read_response())
            except ResponseError as exc:
                replies.append(exc)
        return replies


class _Command(NamedTuple):
    args: Sequence[bytes]
    reply: "asyncio.Future[Any]"

    def answer(self, answer: object) -> None:
        if self.reply.done():
            return
        if isinstance(answer, Exception):
            self.reply.set_exception(answer)
        else:
            self.reply.set_result(answer)

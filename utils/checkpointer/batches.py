"""Commands that are given at about the same time, sent together: one connection, one write, and the replies in turn.

Of what a small command costs a client, redis-py's way to a connection and back is the most. Here it is gone once for
all commands that came up while the event loop went round.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import ConnectionError, ResponseError

from utils.checkpointer.places import Places

# Those on one connection wait for each other's replies: together they are not to be more than the server does at once.
_COMMANDS = 64
_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class _Command:
    packed: bytes
    reply: "asyncio.Future[Any]"


class Batches:
    """Of one event loop, over the connections of *pool*; a batch takes one of *places*.

    Only for commands that the server answers at once, and that may be sent again after a closed connection.
    """

    def __init__(self, pool: ConnectionPool, places: Places) -> None:
        self._pool, self._places = pool, places
        self._encode = pool.get_encoder().encode  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        self._given: deque[_Command] = deque()
        self._next: asyncio.Task[None] | None = None  # that takes what has been given
        self._tasks: set[asyncio.Task[None]] = set()

    def reply(self, *args: bytes | str | int) -> "asyncio.Future[Any]":
        """What the server replies to a command. Who is cancelled leaves the others their batch.

        Raises:
            ResponseError: to this command. ConnectionError, TimeoutError: to the batch, see `Places.run`.
        """
        command = _Command(self._packed(args), asyncio.get_running_loop().create_future())
        self._given.append(command)
        self._take_care()
        return command.reply

    def _take_care(self) -> None:
        if self._next is None and self._given:
            # It begins when the loop comes round: until then, and until there is a place, others may join.
            self._next = asyncio.create_task(self._send())
            self._tasks.add(self._next)
            self._next.add_done_callback(self._tasks.discard)

    async def _send(self) -> None:
        batch: deque[_Command] = deque()
        try:
            await self._places.run(lambda: self._exchange(batch))
        except asyncio.CancelledError:  # the loop ends
            for command in self._left(batch):
                command.reply.cancel()
            raise
        except Exception as exc:
            for command in self._left(batch):
                if not command.reply.done():
                    command.reply.set_exception(exc)

    def _left(self, batch: deque[_Command]) -> Iterable[_Command]:
        # Where this one got no place, nothing has been taken.
        return self._taken() if self._next is asyncio.current_task() else batch

    def _taken(self) -> Iterable[_Command]:
        batch: list[_Command] = []
        size_bytes = 0
        while self._given and len(batch) < _COMMANDS and size_bytes < _BYTES:
            command = self._given.popleft()
            if not command.reply.cancelled():
                batch.append(command)
                size_bytes += len(command.packed)
        self._next = None
        self._take_care()
        return batch

    def _packed(self, args: Iterable[bytes | str | int]) -> bytes:
        # Source: https://redis.io/docs/latest/develop/reference/protocol-spec/#sending-commands-to-a-redis-server
        parts = [part if type(part) is bytes else self._encode(part) for part in args]
        return b"*%d\r\n%b" % (len(parts), b"".join([b"$%d\r\n%b\r\n" % (len(part), part) for part in parts]))

    async def _exchange(self, batch: deque[_Command]) -> None:
        """Send what is given, and answer it; in *batch* is left what is not answered."""
        batch.extend(self._taken())
        if not batch:
            return
        connection: AbstractConnection = await self._pool.get_connection()  # type: ignore[no-untyped-call]  # the same
        try:
            try:
                await _answer(batch, connection)
            except ConnectionError:
                await connection.disconnect()
                # Behind Sentinels maybe to another.
                await connection.connect()  # type: ignore[no-untyped-call]  # the same
                await _answer(batch, connection)
        finally:
            await self._pool.release(connection)


async def _answer(batch: deque[_Command], connection: AbstractConnection) -> None:
    await connection.send_packed_command([command.packed for command in batch], check_health=False)
    while batch:
        reply = batch[0].reply
        try:
            answer = await connection.read_response()
        except ResponseError as exc:
            if not reply.done():
                reply.set_exception(exc)
        else:
            if not reply.done():
                reply.set_result(answer)
        batch.popleft()

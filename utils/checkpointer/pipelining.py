"""Calls of scripts over one connection: written together while the event loop goes round, answered in their order.

Of what a small command costs a client, redis-py's way to a connection and back is the most. Here redis-py opens the
connection, with all it knows of TLS, passwords and Sentinels; from then on it is written to and read from without it.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any

import hiredis
from redis._parsers.base import BaseParser
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.sentinel import SentinelManagedConnection
from redis.exceptions import ConnectionError, InvalidResponse, ReadOnlyError, TimeoutError

from .countdown import Countdown

# Those under way wait for each other's replies: together they are not to be more than the server does at once.
_COMMANDS = 64
_BYTES = 256 * 1024


class _Command:
    """`is_repeated`: it was sent before, over a connection that was closed then."""

    __slots__ = ("is_repeated", "packed", "reply")

    def __init__(self, packed: bytes, reply: "asyncio.Future[Any]") -> None:
        self.packed, self.reply, self.is_repeated = packed, reply, False

    def answer(self, answer: object) -> None:
        """Give it to whoever still waits."""
        if self.reply.done():
            return
        if isinstance(answer, Exception):
            self.reply.set_exception(answer)
        else:
            self.reply.set_result(answer)


class Pipeline:
    """The calls of one event loop, over a connection of its own beside those of *pool*.

    Only for commands that the server answers at once, and that may be sent again after a closed connection. A server
    that answers none of them for *whole_s* is given up for all.
    """

    def __init__(self, pool: ConnectionPool, whole_s: float) -> None:
        self._pool, self._whole_s = pool, whole_s
        self._encode = pool.get_encoder().encode  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        self._given: deque[_Command] = deque()
        self._line: _Line | None = None
        self._opening: asyncio.Task[None] | None = None
        self._sending: asyncio.Handle | None = None
        self._countdown = Countdown(whole_s, self._give_up)

    def reply(self, *args: bytes | str | int) -> "asyncio.Future[Any]":
        """What the server replies to a command. Who is cancelled leaves the others theirs.

        Raises:
            ResponseError: to this command. ConnectionError, TimeoutError: to all that are under way.
        """
        loop = asyncio.get_running_loop()
        command = _Command(self._packed(args), loop.create_future())
        self._given.append(command)
        self._countdown.start()
        if self._sending is None:
            self._sending = loop.call_soon(self._send)  # until the loop comes round, others may join
        return command.reply

    async def aclose(self) -> None:
        """Close the connection; what is under way gets no reply."""
        opening, line = self._opening, self._line
        self._end(ConnectionError("The client was closed."))
        if opening is not None:
            await asyncio.wait([opening])
        if line is not None:
            await line.closed

    def answered(self) -> None:
        """The server has answered some of those under way."""
        self._countdown.restart()
        self._send()

    def lost(self, line: "_Line", why: Exception) -> None:
        """The connection was closed, or is of no use any more: what it leaves unanswered goes over another, once."""
        if line is not self._line:
            return
        self._line = None
        left = line.close()
        for command in left:
            if command.is_repeated:
                command.answer(why)
            command.is_repeated = True
        self._given.extendleft(reversed([command for command in left if not command.reply.done()]))
        self._send()

    def _packed(self, args: Iterable[bytes | str | int]) -> bytes:
        # Source: https://redis.io/docs/latest/develop/reference/protocol-spec/#sending-commands-to-a-redis-server
        parts = [part if type(part) is bytes else self._encode(part) for part in args]
        return b"*%d\r\n%b" % (len(parts), b"".join([b"$%d\r\n%b\r\n" % (len(part), part) for part in parts]))

    def _send(self) -> None:
        self._sending = None
        if self._line is not None:
            self._line.send(self._given)
            is_waited_for = not self._line.is_idle
        else:
            is_waited_for = any(not command.reply.done() for command in self._given)
            if is_waited_for and self._opening is None:
                self._opening = asyncio.create_task(self._open())
        if not is_waited_for:
            self._countdown.stop()

    async def _open(self) -> None:
        connection: AbstractConnection | None = None
        try:
            connection = self._pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
            await connection.connect()
            if self._opening is not asyncio.current_task():
                raise ConnectionError("The connection was given up.")
            self._line = _Line(connection, self)
        except BaseException as exc:
            if connection is not None:
                connection._close()  # type: ignore[no-untyped-call]  # or it would count as left open
            if not isinstance(exc, Exception):  # given up, or the loop ends
                raise
            if self._opening is asyncio.current_task():
                self._end(exc)
        else:
            self._opening = None
            self._send()

    def _give_up(self) -> None:
        self._end(TimeoutError(f"no answer within {self._whole_s:g} s"))

    def _end(self, why: Exception) -> None:
        self._countdown.stop()
        opening, self._opening = self._opening, None
        if opening is not None and opening is not asyncio.current_task():
            opening.cancel()
        line, self._line = self._line, None
        left = [*(line.close() if line else ()), *self._given]
        self._given.clear()
        for command in left:
            command.answer(why)


class _Line(asyncio.Protocol):
    """A connection that redis-py has opened, and the commands under way over it, the oldest first."""

    def __init__(self, connection: AbstractConnection, pipeline: Pipeline) -> None:
        self._connection, self._pipeline = connection, pipeline
        self._is_of_master = isinstance(connection, SentinelManagedConnection)
        self._replies = hiredis.Reader(protocolError=InvalidResponse, replyError=BaseParser.parse_error)
        self._under_way: deque[_Command] = deque()
        self._size_bytes = 0
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # Its stream is not used any more, but closes the transport when it goes.
        self._transport: Any = connection._writer.transport  # type: ignore[union-attr]  # it is connected
        if self._transport.is_closing():
            raise ConnectionError("The connection was closed at once.")
        self._transport.set_protocol(self)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way."""
        return not self._under_way

    def send(self, given: deque[_Command]) -> None:
        """Send from the left of *given* what there is room for."""
        parts: list[bytes] = []
        while given and len(self._under_way) < _COMMANDS and self._size_bytes < _BYTES:
            command = given.popleft()
            if not command.reply.cancelled():
                parts.append(command.packed)
                self._under_way.append(command)
                self._size_bytes += len(command.packed)
        if parts:
            self._transport.write(b"".join(parts))

    def close(self) -> deque[_Command]:
        """Close it, and give what is left unanswered."""
        left, self._under_way = self._under_way, deque()
        self._transport.abort()
        return left

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._replies.feed(data)
        try:
            while (answer := self._replies.gets()) is not False:
                if self._is_of_no_use(answer):
                    self._pipeline.lost(self, answer)
                    return
                if not self._under_way:  # the next command would be given it
                    self._pipeline.lost(self, ConnectionError("The server said something that nobody had asked."))
                    return
                command = self._under_way.popleft()
                self._size_bytes -= len(command.packed)
                command.answer(answer)
        except InvalidResponse as exc:
            self._pipeline.lost(self, ConnectionError(f"The server does not speak the protocol: {exc}"))
        else:
            self._pipeline.answered()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._connection._close()  # type: ignore[no-untyped-call]  # or it would count as left open
        if not self.closed.done():
            self.closed.set_result(None)
        self._pipeline.lost(self, ConnectionError(f"The connection was closed. {exc or ''}".rstrip()))

    def _is_of_no_use(self, answer: object) -> bool:
        """Whether this is no answer to a command: the server lets nobody in, loads, or is the master no more."""
        return isinstance(answer, ConnectionError) or (self._is_of_master and isinstance(answer, ReadOnlyError))

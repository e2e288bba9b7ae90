"""Counts round trips and bytes between a client and a server, whatever they speak."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

_CHUNK_BYTES = 1 << 18


@dataclass(slots=True)
class Traffic:
    """What has passed. A round trip begins when the client speaks first or after the server did, on one connection."""

    round_trips: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0

    def since(self, before: "Traffic") -> "Traffic":
        """What has passed since *before*."""
        return Traffic(
            self.round_trips - before.round_trips,
            self.sent_bytes - before.sent_bytes,
            self.received_bytes - before.received_bytes,
        )


class Proxy:
    """A port of 127.0.0.1 that leads to another one; `port` is free to use while `running` is entered."""

    def __init__(self, target_port: int) -> None:
        self.port, self._target_port, self._traffic = 0, target_port, Traffic()

    def seen(self) -> Traffic:
        """What has passed until now."""
        return replace(self._traffic)

    @contextmanager
    def running(self) -> Iterator["Proxy"]:
        """Lead there, from a thread of its own: its work must not wait for the client's event loop."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._listen(), loop).result(5)
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(_end_all(), loop).result(5)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(5)
            loop.close()

    async def _listen(self) -> None:
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._target_port)
        replied = [True]

        def sent(size: int) -> None:
            self._traffic.round_trips += replied[0]
            self._traffic.sent_bytes += size
            replied[0] = False

        def received(size: int) -> None:
            self._traffic.received_bytes += size
            replied[0] = True

        with suppress(asyncio.CancelledError):  # asyncio's streams would report the end of `running` as an error
            await asyncio.gather(_pass_on(reader, to_server, sent), _pass_on(from_server, writer, received))


async def _end_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: Callable[[int], None]) -> None:
    try:
        with suppress(ConnectionError):  # either side may go first
            while data := await reader.read(_CHUNK_BYTES):
                count(len(data))
                writer.write(data)
                await writer.drain()
    finally:
        writer.close()

"""An answer's events without losing touch with the browser."""

from collections.abc import Generator
from queue import Empty, SimpleQueue
from threading import Thread

from clients.answer_stream import AnswerStream
from clients.run_events import Event

Numbered = tuple[Event, int]


def poll(stream: AnswerStream, every_s: float) -> Generator[list[Numbered]]:
    """What has arrived of *stream*, each event with its number; nothing when there was none for *every_s* seconds.

    Streamlit can stop a script only where the script calls it. One that waits for the next event in a socket would
    make "Stop" and "New chat" wait too, so a thread does that waiting. Closing this closes the stream.
    """
    arrived: SimpleQueue[Numbered | Exception] = SimpleQueue()
    Thread(target=_read, args=(stream, arrived), name="answer", daemon=True).start()
    try:
        while True:
            batch = _batch(arrived, every_s)
            yield [one for one in batch if not isinstance(one, Exception)]
            if batch and isinstance(batch[-1], Exception):
                raise batch[-1]
    finally:
        stream.close()


def _batch(arrived: "SimpleQueue[Numbered | Exception]", every_s: float) -> list[Numbered | Exception]:
    try:
        batch = [arrived.get(timeout=every_s)]
    except Empty:
        return []
    while not arrived.empty():
        batch.append(arrived.get())
    return batch


def _read(stream: AnswerStream, arrived: "SimpleQueue[Numbered | Exception]") -> None:
    try:
        for event in stream:
            arrived.put((event, stream.after))
    except Exception as exc:  # whatever it is, the page waits for it
        arrived.put(exc)

"""An answer's events without losing touch with the browser."""

from collections.abc import Generator
from contextlib import closing
from queue import Empty, SimpleQueue
from threading import Thread

from clients.api_client import Answer, AnswerStream, Event


def polled(stream: AnswerStream, every_s: float) -> Generator[Event | None]:
    """The events of *stream* up to the answer, and None whenever there was none for *every_s* seconds.

    Streamlit can stop a script only where the script calls it. One that waits for the next event in a socket would
    make "Stop" and "New chat" wait too, so a thread does that waiting. Closing this, or an error, ends the call.
    """
    arrived: SimpleQueue[Event | Exception] = SimpleQueue()
    Thread(target=_read, args=(stream, arrived), name="answer", daemon=True).start()
    with closing(stream):
        while True:
            try:
                event = arrived.get(timeout=every_s)
            except Empty:
                yield None
                continue
            if isinstance(event, Exception):
                raise event
            yield event
            if isinstance(event, Answer):
                return


def _read(stream: AnswerStream, arrived: "SimpleQueue[Event | Exception]") -> None:
    try:
        for event in stream:
            arrived.put(event)
    except Exception as exc:  # whatever it is, the page waits for it
        arrived.put(exc)

"""An answer's events without losing touch with the browser."""

from collections.abc import Callable, Generator
from queue import Empty, SimpleQueue
from threading import Thread, Timer

from clients.api_client import Answer, AnswerStream, Event

_LEAVING_S = 0.2  # Streamlit stops the script a moment before it strikes the session off


def polled(stream: AnswerStream, every_s: float, *, left: Callable[[], bool]) -> Generator[Event | None]:
    """The events of *stream* up to the answer, and None whenever there was none for *every_s* seconds.

    Streamlit can stop a script only where the script calls it. One that waits for the next event in a socket would
    make "Stop" and "New chat" wait too, so a thread does that waiting. Closing this ends the call, unless *left()*: a
    visitor who has reloaded the page, or whose phone has gone to sleep, wants the answer; it is read to its end, since
    the service gives up on an answer that nobody reads.
    """
    arrived: SimpleQueue[Event | Exception] = SimpleQueue()
    Thread(target=_read, args=(stream, arrived), name="answer", daemon=True).start()
    try:
        yield from _arriving(arrived, every_s)
    except GeneratorExit:
        Timer(_LEAVING_S, _close_unless, (left, stream)).start()
        raise
    except BaseException:
        stream.close()
        raise


def _arriving(arrived: "SimpleQueue[Event | Exception]", every_s: float) -> Generator[Event | None]:
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


def _close_unless(left: Callable[[], bool], stream: AnswerStream) -> None:
    if not left():
        stream.close()


def _read(stream: AnswerStream, arrived: "SimpleQueue[Event | Exception]") -> None:
    try:
        for event in stream:
            arrived.put(event)
    except Exception as exc:  # whatever it is, the page waits for it
        arrived.put(exc)

"""An answer that is spoken while it is written: the events of its run, with sound between them."""

import asyncio
import logging
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any

from agents.runs.record import Event
from api.links import link_citations
from api.openai.answers import continue_text
from api.services import services
from api.speech_notes import ONLY_BEGINNING
from api.spoken_sentences import SentenceCutter
from api.sse import HEARTBEAT, QUIET_S, encode_data, encode_event, encode_events
from api.stopwatch import Stopwatch
from api.turns import Turn
from server.sync_pool import get_sync_pool
from utils.errors import ProblemError
from utils.ports import TextToSpeech
from utils.spoken_text import LONGEST_SPOKEN

logger = logging.getLogger(__name__)
LONGEST_PAUSE_S = 120.0  # a client may play each sound before it reads on: half a minute, of a slow voice a whole one
_WAITING_SOUNDS = 2  # sentences that are spoken before the client has taken those before them


class SpokenAnswer:
    """One answer: its sentences are spoken one after the other, while the next ones are written.

    *times*: seconds that the question took, step by step, by *watch*, which goes on. *model*: what speaks; without one
    *note* says why nobody does.
    """

    def __init__(
        self,
        turn: Turn,
        model: TextToSpeech | None,
        watch: Stopwatch,
        times: Mapping[str, float],
        *,
        note: str | None = None,
    ) -> None:
        self._turn, self._model, self._watch, self._note = turn, model, watch, note
        self._times = {**times, "process_rag": 0.0, "text_to_speech": 0.0}
        self._first_sound_s: float | None = None
        self._cutter, self._written, self._spoken_size, self._count = SentenceCutter(), "", 0, 0
        self._last: tuple[str, Event] | None = None
        self._waiting = list[str]()  # sentences of events that are not out yet
        self._sentences: asyncio.Queue[str | None] = asyncio.Queue()
        # What goes to the client; True: a sound, which takes room until it is taken.
        self._out: asyncio.Queue[tuple[bytes, bool] | None] = asyncio.Queue()
        self._room = asyncio.Semaphore(_WAITING_SOUNDS)

    async def stream(self) -> AsyncIterator[bytes]:
        """All events on the wire, `done` last. Whoever stops reading wants no more speech, and maybe no answer."""
        working = asyncio.create_task(self._work())
        working.add_done_callback(lambda _: self._out.put_nowait(None))
        has_begun = False
        try:
            while (piece := await self._take()) is not None:
                if not has_begun:  # nothing is told before it: a run that fails at once is answered with its status
                    has_begun = True
                    yield _encode_unnumbered({"type": "transcript", "text": self._turn.record.message})
                yield piece
            await working
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)

    async def _take(self) -> bytes | None:
        try:
            async with asyncio.timeout(QUIET_S):
                taken = await self._out.get()
        except TimeoutError:
            return HEARTBEAT
        if taken is None:
            return None
        if taken[1]:
            self._room.release()
        return taken[0]

    async def _work(self) -> None:
        speaking = asyncio.create_task(self._speak())
        try:
            await self._pass_events()
            if self._last is None:  # it failed, was cancelled, or waits for a person
                return
            self._say(self._cutter.finish())
            self._release()
            self._sentences.put_nowait(None)
            await speaking
            self._out.put_nowait((encode_event(self._last[0], self._finish(self._last[1])), False))
        finally:
            speaking.cancel()
            await asyncio.gather(speaking, return_exceptions=True)

    async def _pass_events(self) -> None:
        """Pass on the events of the run, all but `done`."""
        turn = self._turn
        prepare = partial(link_citations, turn.ctx, base=services().links.get_base_url())
        events = encode_events(turn.run, 0, quiet_s=QUIET_S, leaving=turn.leaving, prepare=prepare, write=self._write)
        async with aclosing(events):
            async for piece in events:
                self._out.put_nowait((piece, False))
                self._release()  # now: no sound is to overtake what its words came with, `fallback` among it
        self._release()

    def _write(self, event_id: str, event: Event) -> bytes:
        match event["type"]:
            case "token":
                self._written += event["content"]
                self._say(self._cutter.feed(event["content"]))
            case "fallback" | "resumed" | "error" | "cancelled" | "waiting":
                self._discard()
            case "done":
                self._say(self._cutter.feed(continue_text(self._written, event["answer"])))
                self._times["process_rag"] = self._watch.lap()
                self._last = event_id, event
                return b""
        return encode_event(event_id, event)

    def _say(self, sentences: Iterable[str]) -> None:
        for sentence in sentences:
            self._spoken_size += len(sentence)
            if self._model is not None and self._spoken_size <= LONGEST_SPOKEN:
                self._waiting.append(sentence)

    def _release(self) -> None:
        """Let be spoken what was said so far."""
        for sentence in self._waiting:
            self._sentences.put_nowait(sentence)
        self._waiting.clear()

    def _discard(self) -> None:
        """Speak nothing more of what was written so far."""
        self._cutter, self._written, self._spoken_size = SentenceCutter(), "", 0
        self._waiting.clear()
        while not self._sentences.empty():
            self._sentences.get_nowait()

    async def _speak(self) -> None:
        while (sentence := await self._sentences.get()) is not None and self._note is None:
            cutter = self._cutter
            await self._room.acquire()
            piece = await self._make_sound(sentence) if cutter is self._cutter else None
            if piece and cutter is self._cutter:  # else what was written is void by now
                self._count += 1
                self._out.put_nowait((piece, True))
            else:
                self._room.release()

    async def _make_sound(self, sentence: str) -> bytes | None:
        sound = await self._synthesise(sentence)
        if sound is None:
            return None
        event = {"type": "audio", "number": self._count + 1, "text": sentence}
        make: Callable[[], bytes] = partial(_encode_sound, event, sound)
        return await get_sync_pool().run(make)  # megabytes in base64

    async def _synthesise(self, sentence: str) -> bytes | None:
        """A sentence as a WAV file; None where it fails, after which nothing is spoken: it would have gaps."""
        assert self._model is not None  # noqa: S101 - else nothing is to be said
        watch = Stopwatch()
        try:
            sound = await self._model.speak(sentence)
        except ProblemError as error:
            logger.warning("An answer could not be spoken: %s", error.detail)
            self._note = error.detail
            return None
        finally:
            self._times["text_to_speech"] = round(self._times["text_to_speech"] + watch.lap(), 3)
        if self._first_sound_s is None:
            self._first_sound_s = self._watch.total()
        return sound

    def _finish(self, done: Event) -> Event:
        times = {**self._times, "total": self._watch.total(), "first_audio": self._first_sound_s}
        note = self._note or (ONLY_BEGINNING if self._spoken_size > LONGEST_SPOKEN else None)
        body: dict[str, Any] = {**describe_question(self._turn), "audio_note": note, "exec_time": times}
        return {**done, **body, "audio_count": self._count}


def describe_question(turn: Turn) -> dict[str, str | None]:
    """What was understood of a spoken question."""
    return {"transcript": turn.record.message, "emotion": turn.record.emotion or None}


def _encode_sound(event: Event, sound: bytes) -> bytes:
    return _encode_unnumbered({**event, "audio": b64encode(sound).decode("ascii")})


def _encode_unnumbered(event: Event) -> bytes:
    """An event that is none of the run's: without an id, which would be where a reader goes on."""
    return f"event: {event['type']}\n".encode("ascii") + encode_data(event)

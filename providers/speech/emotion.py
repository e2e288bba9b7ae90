"""Emotions by a service at EMOTION_ANALYSIS_URL, from a recording and its words.

Wire format: `POST /predict?text=…` with the recording as `file` of a form, answered by `{"prediction": "sad"}`; that of
the chatbot whose `/v1/audio` is served here: https://github.com/Avatar-ChatBot/agentic-chatbot (utils/emotion.py).
"""

import asyncio
import re
from functools import partial
from urllib.parse import urlencode

import aiohttp

from providers.answer_limits import CHAT
from providers.gate import Gate
from providers.openai_errors import EndpointInfo
from providers.openai_wire import OpenAIWire
from providers.retries import CallLimits, retry
from providers.speech.calls import add_recording, call_model
from utils.audio import Recording

_LONGEST_TEXT = 1_000  # characters: it goes into the address, of which servers take some 8 KB
_EMOTION = re.compile(r"[a-z]{2,20}")  # a word: it stands in the prompt of a language model


class EmotionInfo(EndpointInfo):
    """The service's variables, for messages."""

    def name_setting(self, setting: str) -> str:
        """What sets it; it has neither a key nor a model."""
        return "EMOTION_TIMEOUT" if setting == "TIMEOUT" else "EMOTION_ANALYSIS_URL"


class EmotionService:
    """`EmotionModel` over that service; belongs to the event loop it was made in. Nothing is asked of it yet."""

    def __init__(self, wire: OpenAIWire, *, limits: CallLimits, gate: Gate) -> None:
        self._wire, self._limits, self.gate = wire, limits, gate
        self._side = EmotionInfo("emotion model", "EMOTION", "", "emotion service's")

    async def recognise(self, recording: Recording, text: str) -> str:
        """One word, such as "sad".

        Raises:
            ProviderError: the service did not answer, or not as it should.
        """

        async def ask() -> str:
            data = await asyncio.to_thread(recording.read)  # now that it has a place
            path = f"/predict?{urlencode({'text': text[:_LONGEST_TEXT]})}"
            send = partial(self._wire.upload, path, partial(_make_form, recording, data), CHAT)
            answered = await retry(send, self._side, self._limits, self.gate.observer)
            emotion = answered["prediction"].strip().lower()
            if not _EMOTION.fullmatch(emotion):
                raise ValueError("the prediction is not a word")
            return str(emotion)

        return await call_model(ask, self._side, self.gate)

    async def aclose(self) -> None:
        """Close the connections; in the event loop that used them."""
        await self._wire.aclose()


def _make_form(recording: Recording, data: bytes) -> aiohttp.MultipartWriter:
    form = aiohttp.MultipartWriter("form-data")
    add_recording(form, recording, data)
    return form

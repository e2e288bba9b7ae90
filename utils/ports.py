"""What the service asks of vendors and models, and whom it tells what it does, as protocols.

Adapters of models are in `providers/`, those that count and time in `utils/telemetry/`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from utils.audio import Recording

FloatArray = NDArray[np.float32]
Picture = NDArray[np.uint8]
"""Pixels in rows from the top, shape `(height, width, 3)`: red, green, blue."""


class VectorSpec(Protocol):
    """What vectors are made with."""

    @property
    def model(self) -> str:
        """The model's name: vectors of different models must never be compared."""

    @property
    def dimension(self) -> int:
        """Length of every vector."""


class Embedder(VectorSpec, Protocol):
    """Texts to unit vectors; questions and passages are embedded differently by many models."""

    async def embed_query(self, text: str) -> FloatArray:
        """The vector of a question, shape `(dimension,)`, length 1.

        Raises:
            ProviderUnavailable: the model's endpoint did not answer.
        """

    async def embed_passages(self, texts: Sequence[str], *, urgent: bool = False) -> FloatArray:
        """The vectors of passages, shape `(len(texts), dimension)`, in order.

        *urgent* ones are compared for an answer that somebody waits for, and go before documents.

        Raises:
            ProviderUnavailable: the model's endpoint did not answer.
        """


class MalwareScanner(Protocol):
    """Looks for malware in files. Blocking: for threads."""

    def scan(self, data: bytes) -> str | None:
        """The name of the malware in *data*; None if it is clean.

        Raises:
            ScannerUnavailable: the scanner did not answer.
            UnreadableDocument: it does not take files of this size.
        """


class TextRecogniser(Protocol):
    """Pictures of text to text (OCR)."""

    def recognise(self, picture: Picture) -> str | None:
        """The text in reading order: a line a line, an empty one between paragraphs; empty if there is none.

        None if there is some, in letters that it does not know or that are too blurred.
        """


class Reranker(Protocol):
    """A model that reads a question and a passage together, and says how well one answers the other."""

    async def rerank(self, question: str, texts: Sequence[str]) -> Sequence[float]:
        """How relevant each of *texts* is to *question*, in their order; higher is better, on the model's own scale.

        Raises:
            ProviderError: the model's endpoint did not answer, or not as it should.
        """


class SpeechToText(Protocol):
    """Recordings to text."""

    @property
    def model(self) -> str:
        """The name of the model."""

    @property
    def has_model(self) -> bool:
        """Whether recordings can be transcribed, as far as that is known."""

    async def transcribe(self, recording: Recording, *, language: str | None = None) -> str:
        """The words of *recording*, not empty; *language*: what is spoken, as `id`, where that is known.

        Raises:
            UnreadableDocument: nobody speaks in it.
            BadInput: the model does not know *language*.
            ProviderError: the model's endpoint did not answer, or not as it should.
        """


class TextToSpeech(Protocol):
    """Texts to sound files."""

    @property
    def model(self) -> str:
        """The name of the model."""

    async def speak(
        self, text: str, *, voice: str | None = None, response_format: str = "wav", speed: float = 1
    ) -> bytes:
        """*text* as a file of a format of `SPEECH_FORMATS`; *voice*: another one than usual.

        Raises:
            BadInput: it was asked for what it does not have, such as this voice, or refuses *text*.
            TooLarge: the sound file is too large.
            ProviderError: the model's endpoint did not answer, or not as it should.
        """


NEUTRAL = "neutral"
"""The emotion of who has none that can be told."""


class EmotionModel(Protocol):
    """Spoken questions to the emotion of who asks."""

    async def recognise(self, recording: Recording, text: str) -> str:
        """One word for the emotion in *recording*, or in its words *text*, such as "sad"; `NEUTRAL` for none.

        Raises:
            ProviderError: the model's endpoint did not answer, or not as it should.
        """


class EntailmentModel(Protocol):
    """A model that reads a passage and a sentence together, and says whether the passage supports the sentence."""

    async def score(self, pairs: Sequence[tuple[str, str]]) -> FloatArray:
        """How surely each pair's passage supports its sentence, 0 to 1, shape `(len(pairs),)`, in order."""


FallbackReason = Literal["model-unavailable", "model-timeout", "model-busy"]
"""Why quotes answer in place of the language model: it failed, took too long, or too many of its calls were under
way."""
RunOutcome = Literal["answered", "refused", "asked_back", "waiting", "failed", "cancelled", "busy", "handed_over"]
"""How a run left this process: `refused` by the documents, which hold no answer; `asked_back`: the question did not say
what it is about; `waiting`: for a person's word about a call of a tool; `busy`: its conversation had another run;
`handed_over`: another process goes on with it."""


class RunWatch(Protocol):
    """Watches one run. Its methods return at once and never fail; they are for the event loop that runs it."""

    def note_event(self, event: Mapping[str, Any]) -> None:
        """The run emitted *event*: `status` begins a stage, the first `token` is the first word of the answer."""

    def note_end(self, outcome: RunOutcome, *, problem: str = "") -> None:
        """The run is over here; *problem* is the slug of what it failed of. What comes after is not looked at."""


class RunObserver(Protocol):
    """Hears of every run of this process."""

    def begin(self, run_id: str, *, streams: bool, request_id: str = "", trace_parent: str = "") -> RunWatch:
        """A run begins; *streams*: somebody watches the answer come.

        *request_id* and *trace_parent*, as in the header `traceparent`, are those of the request that asked for it.
        """


CallOutcome = Literal["ok", "failed", "cancelled"]


class ModelObserver(Protocol):
    """Hears of every call to the endpoint of one model. Its methods return at once and never fail."""

    def note_call(self, duration_s: float, outcome: CallOutcome) -> None:
        """A call is over, with all its tries, after *duration_s*, the wait in line not counted."""

    def note_failed_try(self, reason: str) -> None:
        """One try failed, by the `reason` of a `providers.openai_errors.CallFailure`."""

    def note_tokens(self, *, input_tokens: int, output_tokens: int) -> None:
        """What the endpoint says a call took, where it says so; told before the call is over."""

    def note_fallback(self) -> None:
        """The fallback model is asked, because the first did not answer."""


class StoreObserver(Protocol):
    """Hears how long stores took; *store* is "redis", "database" or "index". Returns at once, never fails."""

    def note_duration(self, store: str, operation: str, duration_s: float, *, succeeded: bool) -> None:
        """A call to a store is over; *operation* is one of few words."""

"""Emotions from the words alone, by example sentences and the embedding model that there is anyway.

A sentence has the emotion whose examples it is nearest to, if it is nearer to them than to those without an emotion by
more than any of these would be itself. In doubt it has none: a wrong emotion is worse than that.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from providers.chat.sentences import split_sentences
from utils.audio import Recording
from utils.checkpointer.circuit import Circuit
from utils.data_files import load_json
from utils.errors import ProblemError, ProviderUnavailable
from utils.ports import NEUTRAL, Embedder, FloatArray

logger = logging.getLogger(__name__)
_WITHOUT_EMOTION = ("question", "statement", "polite")  # thanks are near to joy, but hardly tell of it
_MAX_SENTENCES, _MIN_WORDS = 5, 3  # "Pardon me." is near to anger
_LIMIT_S = 3.0  # some 0.2 s on an idle machine
_RETRY_S = 60.0
_AWAY = "The emotion of spoken questions is not recognised: the embedding model does not answer"
_BACK = "The emotion of spoken questions is recognised again."
Examples = Mapping[str, Mapping[str, list[str]]]


@dataclass(frozen=True, slots=True)
class _Classes:
    """The mean of each emotion's examples, and of each kind without one, of length 1; and by how much an emotion has to
    be nearer: measured with the examples, as cosines of one model say nothing of another's."""

    emotions: tuple[str, ...]
    means: FloatArray
    means_without: FloatArray
    least_lead: float

    def find_lead(self, vector: FloatArray) -> tuple[float, str]:
        """The nearest emotion, and how much nearer it is than it has to be."""
        nearness = self.means @ vector
        nearest = int(nearness.argmax())
        lead = nearness[nearest] - (self.means_without @ vector).max() - self.least_lead
        return float(lead), self.emotions[nearest]


class TextEmotion:
    """`EmotionModel` that reads the words and leaves the recording alone.

    A question waits for it for *limit_s* at most, and not at all before the examples are embedded. When the embedding
    model has failed, it is asked again after *retry_s*, and questions meanwhile do not wait.
    """

    def __init__(
        self,
        embedder: Embedder,
        *,
        limit_s: float = _LIMIT_S,
        retry_s: float = _RETRY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._embedder, self._limit_s, self._retry_s = embedder, limit_s, retry_s
        self._circuit = Circuit(retry_s=retry_s, away=_AWAY, back=_BACK, clock=clock)
        self._classes: _Classes | None = None

    async def prepare(self) -> None:
        """Embed the examples, which questions are compared with; again and again until that succeeds."""
        while self._classes is None:
            try:
                self._classes = await _embed_examples(self._embedder)
            except ProblemError as error:
                logger.warning("The examples of emotions are not embedded yet: %s", error.detail)
                await asyncio.sleep(self._retry_s)

    async def recognise(self, recording: Recording, text: str) -> str:
        """angry, sad, worried, happy or neutral: of that of the first five sentences that has it most.

        Each for itself, as a question hides the emotion of the sentence before it: of 81 such texts as a whole none was
        told. The vector of a text of one sentence is that which the search needs, too. Without a sentence of three
        words it is neutral, and the model is not asked.

        Raises:
            ProviderError: the embedding model did not answer, or not in time.
        """
        if self._classes is None:
            raise ProviderUnavailable("The examples of emotions are not embedded yet.")
        sentences = _choose_sentences(text)
        if not sentences:
            return NEUTRAL
        if not self._circuit.may_try():
            raise ProviderUnavailable(f"{_AWAY}.")
        try:
            emotion = await self._compare(self._classes, sentences)
        except ProblemError as error:
            self._circuit.note_failure(error)
            raise
        self._circuit.note_success()
        return emotion

    async def _compare(self, classes: _Classes, sentences: Sequence[str]) -> str:
        try:
            async with asyncio.timeout(self._limit_s):
                vectors = [await self._embedder.embed_query(sentence) for sentence in sentences]
        except TimeoutError:
            raise ProviderUnavailable(f"The embedding model took longer than {self._limit_s:g} s.") from None
        lead, emotion = max(map(classes.find_lead, vectors))
        return emotion if lead > 0 else NEUTRAL


def _choose_sentences(text: str) -> list[str]:
    sentences = (each.text for each in split_sentences(text))
    return [each for each in sentences if len(each.split()) >= _MIN_WORDS][:_MAX_SENTENCES]


async def _embed_examples(embedder: Embedder) -> _Classes:
    examples: Examples = load_json("providers.speech", "emotion_examples.json")
    pairs = [(kind, text) for kind, texts in examples.items() for each in texts.values() for text in each]
    vectors = await embedder.embed_passages([text for _, text in pairs], urgent=True)
    of = {name: vectors[[kind == name for kind, _ in pairs]] for name in examples}
    emotions = tuple(name for name in examples if name not in _WITHOUT_EMOTION)
    means = np.stack([_scale(of[name].mean(0)) for name in emotions])
    without = [of[name] for name in _WITHOUT_EMOTION]
    means_without = np.stack([_scale(each.mean(0)) for each in without])
    leads = [_find_leads(each, means, np.delete(means_without, index, 0)) for index, each in enumerate(without)]
    return _Classes(emotions, means, means_without, max(0.0, float(np.concatenate(leads).max())))


def _find_leads(examples: FloatArray, means: FloatArray, means_without: FloatArray) -> FloatArray:
    """By how much each of *examples*, which have no emotion, would be nearer to one of *means* if it were no example.

    *means_without*: of the other kinds without an emotion; that of its own kind is taken without it.
    """
    own = (examples * _scale(examples.sum(0) - examples)).sum(1)
    leads: FloatArray = (examples @ means.T).max(1) - np.maximum(own, (examples @ means_without.T).max(1))
    return leads


def _scale(vectors: FloatArray) -> FloatArray:
    """*vectors*, of length 1."""
    scaled: FloatArray = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return scaled

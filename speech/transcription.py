"""Recordings to words, by faster-whisper."""

from pathlib import Path
from threading import BoundedSemaphore, Lock

from faster_whisper import WhisperModel

from speech.recordings import read_samples

_MAX_WAITING = 8


class Busy(Exception):
    """Too many recordings are waiting."""


class UnknownLanguage(Exception):
    """The model does not know the language that was named."""


class Transcriber:
    """One recording after the other, by all cores.

    Args:
        weights: folder of a Whisper model in the format of CTranslate2.
    """

    def __init__(self, weights: Path) -> None:
        self._model = WhisperModel(str(weights), device="cpu", compute_type="int8", local_files_only=True)
        self._room, self._turn = BoundedSemaphore(_MAX_WAITING), Lock()

    def transcribe(self, data: bytes, language: str | None) -> str:
        """The words of a recording, "" where nobody speaks in it; *language*: as ISO 639-1, None to find out.

        Raises:
            BadRecording: it cannot be read.
            Busy: too many others wait.
            UnknownLanguage: the model does not know *language*.
        """
        if language is not None and language not in self._model.supported_languages:
            raise UnknownLanguage(language)
        if not self._room.acquire(blocking=False):
            raise Busy
        try:
            with self._turn:
                # Where nobody speaks Whisper makes words up: what is no speech is taken out before.
                segments, _ = self._model.transcribe(read_samples(data), language=language, vad_filter=True)
                return " ".join(segment.text.strip() for segment in segments)
        finally:
            self._room.release()

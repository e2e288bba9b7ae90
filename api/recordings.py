"""Recordings on their way in: what a form with one may hold."""

import re

from api.multipart import UploadedFile
from utils.audio import (
    DAMAGED,
    HEAD_BYTES,
    KNOWN_KINDS,
    LARGEST_AUDIO,
    NO_SPEECH,
    Recording,
    has_samples,
    is_silent,
    sniff,
)
from utils.errors import TooLarge, UnreadableDocument
from utils.validation import refuse_field

LARGEST_FORM = LARGEST_AUDIO + 65_536  # bytes: with what there is beside its recording
LANGUAGE = re.compile(r"[a-z]{2,3}")
RECORDING_FIELD = {
    "type": "string",
    "format": "binary",
    "description": f"The recording, with a file name: {', '.join(KNOWN_KINDS)}; at most 16 MB.",
}
LANGUAGE_FIELD = {
    "type": "string",
    "pattern": f"^{LANGUAGE.pattern}$",
    "description": "What is spoken (ISO 639), such as id. Left out: the model finds out.",
}


def take_recording(files: list[UploadedFile], field: str) -> Recording:
    """The one recording of a form, in the parts called *field*, by its first bytes. Blocking.

    Raises:
        BadInput: there is none, or more than one.
        TooLarge: it is larger than 16 MB.
        UnreadableDocument: it is empty, or no sound file of a known kind.
    """
    if len(files) != 1:
        raise refuse_field(f"Send one recording with a file name, in a part called {field}.", field)
    [file] = files
    if file.size_bytes > LARGEST_AUDIO:
        raise TooLarge("The recording is larger than 16 MB. Send a shorter one, or compress it.")
    if not file.size_bytes:
        raise UnreadableDocument("The recording is empty.")
    kind = sniff(file.read(HEAD_BYTES))
    if kind is None:
        raise UnreadableDocument(f"The audio format is not supported: send one of {', '.join(KNOWN_KINDS)}.")
    return Recording(kind, file.read)


def check_recording(recording: Recording) -> None:
    """Return where there may be speech in *recording*. It is read to its end: count the question before. Blocking.

    Raises:
        UnreadableDocument: it is a WAV file that is damaged or silent.
    """
    if recording.kind.extension != "wav":
        return
    data = recording.read()
    if not has_samples(data):
        raise UnreadableDocument(DAMAGED)
    if is_silent(data):
        raise UnreadableDocument(NO_SPEECH)


def read_language(sent: str) -> str | None:
    """The language that a form names, None for none.

    Raises:
        BadInput: it is no language.
    """
    if sent and not LANGUAGE.fullmatch(sent):
        raise refuse_field("language: Has to be a code of ISO 639 in small letters, such as id.", "language")
    return sent or None

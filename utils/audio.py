"""Recordings: which kind of file one is, told by its first bytes, and whether a WAV file holds anything but silence.

Sources: RIFF/WAVE (https://www.mmsp.ece.mcgill.ca/Documents/AudioFormats/WAVE/WAVE.html), FLAC (RFC 9639, 6), Ogg
(RFC 3533, 6), ISO base media files (ISO/IEC 14496-12, 4.3), EBML (RFC 8794, 11.2), MPEG audio frames (ISO/IEC 11172-3).
"""

import io
import re
import wave
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

HEAD_BYTES = 64
LARGEST_AUDIO = 16 * 1024 * 1024
NO_TRANSCRIPTION = "no_transcription_model"
"""The error code by which `python -m speech` says that it only speaks."""
NO_SPEECH = "No speech was recognised in the recording. Speak nearer to the microphone, and record again."
DAMAGED = "The recording cannot be read: it is damaged, too short, or of a kind that is not supported. Record again."
_MAX_CHUNKS = 100  # before the samples: a file of 16 MB has room for two millions, each a step of Python
_SILENT = 64  # of 32768: -54 dB of full scale, under the noise of a room
_WEBM = re.compile(rb"\x1a\x45\xdf\xa3.{0,40}?\x42\x82.webm", re.DOTALL)
# Major brands of files with sound, those of telephones' recorders and cameras among them, and not of pictures, which
# begin alike. Sources: https://mp4ra.org/registered-types/brands and the QuickTime File Format Specification.
_MP4 = re.compile(rb".{4}ftyp(?:M4[ABV] |mp4[12]|iso[m2-9]|3g[p2][0-9a-z]|qt  |dash|avc1|MSNV)", re.DOTALL)
_MPEG_VERSIONS, _MPEG_LAYER_3 = (0, 2, 3), 1


@dataclass(frozen=True, slots=True)
class AudioKind:
    """A kind of sound file: its usual extension, by which endpoints tell it, and its media type."""

    extension: str
    media_type: str


_KINDS = {
    name: AudioKind(name, media_type)
    for name, media_type in {
        "wav": "audio/wav",
        "mp3": "audio/mpeg",
        "flac": "audio/flac",
        "ogg": "audio/ogg",
        "m4a": "audio/mp4",
        "webm": "audio/webm",
    }.items()
}
KNOWN_KINDS = tuple(_KINDS)
SPEECH_FORMATS = {"mp3": _KINDS["mp3"], "opus": _KINDS["ogg"], "flac": _KINDS["flac"], "wav": _KINDS["wav"]}
"""What speech may be asked for as, by OpenAI's names, and the kind of file that this is."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Audio that is read only when it is sent, so that those that wait take no memory. `read` blocks."""

    kind: AudioKind
    read: Callable[[], bytes]


def sniff(head: bytes) -> AudioKind | None:
    """The kind of the audio that begins with *head*, its first `HEAD_BYTES` or all of it; None: none that we know."""
    for name, is_one in _TESTS.items():
        if is_one(head):
            return _KINDS[name]
    return None


def is_cut_wav(data: bytes) -> bool:
    """Whether *data* is a WAV file that says to be longer than it is.

    Endpoints that send while they speak say no length, or one of gigabytes.
    """
    size = int.from_bytes(data[4:8], "little")
    return data[:4] == b"RIFF" and len(data) < size + 8 <= LARGEST_AUDIO


def has_samples(wav: bytes) -> bool:
    """Whether the WAV file has a chunk of samples, which may be empty, among its first 100."""
    start = 12
    for _ in range(_MAX_CHUNKS):
        name, size = wav[start : start + 4], wav[start + 4 : start + 8]
        if len(size) < 4 or name == b"data":
            return len(size) == 4
        length = int.from_bytes(size, "little")
        start += 8 + length + length % 2
    return False


def _is_mp3(head: bytes) -> bool:
    """An ID3 tag, or the header of a frame of layer III with a bit rate and a sample rate that exist."""
    if head[:3] == b"ID3":
        return len(head) >= 10
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bit_rate, sample_rate = head[2] >> 4, head[2] >> 2 & 3
    return version in _MPEG_VERSIONS and layer == _MPEG_LAYER_3 and 0 < bit_rate < 15 and sample_rate < 3


_TESTS: dict[str, Callable[[bytes], bool]] = {
    "wav": lambda head: head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE",
    "flac": lambda head: head[:4] == b"fLaC",
    "ogg": lambda head: head[:5] == b"OggS\0",
    "m4a": lambda head: _MP4.match(head) is not None,
    "webm": lambda head: _WEBM.match(head) is not None,
    "mp3": _is_mp3,
}


def is_silent(data: bytes) -> bool:
    """Whether *data*, of which `has_samples` holds, is a WAV file of 16-bit samples that are all near zero, or none.

    False where that is unknown. Blocking; reads a second at a time.
    """
    try:
        with wave.open(io.BytesIO(data)) as sound:
            if sound.getsampwidth() != 2:
                return False
            while frames := sound.readframes(48_000):
                samples = np.frombuffer(frames[: len(frames) // 2 * 2], "<i2").astype(np.int32)
                if samples.size and int(np.abs(samples).max()) >= _SILENT:
                    return False
            return True
    except (wave.Error, EOFError, ValueError, RuntimeError):  # the last where a part says to be longer than the whole
        return False

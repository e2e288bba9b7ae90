"""The sound of a recording, whatever kind of file it is."""

import io

import av
import numpy as np
from numpy.typing import NDArray

from utils.audio import HEAD_BYTES, sniff

# As what FFmpeg is to read each kind. Left to guess, it takes a text for a description of a stream, and opens sockets.
_FORMATS = {"wav": "wav", "mp3": "mp3", "flac": "flac", "ogg": "ogg", "m4a": "mov", "webm": "matroska"}
_UNREADABLE = "The audio file could not be decoded: it is damaged or not supported."
RATE = 16_000  # samples a second, as Whisper takes them
LONGEST_S = 600


class BadRecording(Exception):
    """It cannot be transcribed; the message says why."""


def read_samples(data: bytes) -> NDArray[np.float32]:
    """The sound in *data*, of one channel, -1 to 1, shape `(samples,)`.

    A few bytes may hold days of silence: decoding stops where it is longer than `LONGEST_S`.

    Raises:
        BadRecording: it is damaged, of an unknown kind, or too long.
    """
    kind = sniff(data[:HEAD_BYTES])
    if kind is None:
        raise BadRecording(_UNREADABLE)
    parts, length_s = list[NDArray[np.int16]](), 0.0
    try:
        with av.open(io.BytesIO(data), "r", format=_FORMATS[kind.extension], metadata_errors="ignore") as container:
            resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
            for frame in container.decode(audio=0):
                length_s += frame.samples / max(frame.sample_rate, 1)
                if length_s > LONGEST_S:
                    raise BadRecording(f"The audio file is not supported: it has more than {LONGEST_S} seconds.")
                for resampled in resampler.resample(frame):
                    parts.append(np.asarray(resampled.to_ndarray(), np.int16).reshape(-1))
    except (av.FFmpegError, IndexError, ValueError) as exc:  # IndexError: it has no sound
        raise BadRecording(_UNREADABLE) from exc
    if not parts:
        raise BadRecording("The audio file is too short.")
    return np.concatenate(parts).astype(np.float32) / np.float32(32_768)

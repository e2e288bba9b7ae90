"""Words to speech, by espeak-ng as the package espeakng-loader brings it.

    python -m speech.espeak LANGUAGE SPEED < text > speech.wav

The library runs in a process of its own for each text: what goes wrong in it ends that alone.
"""

import ctypes
import io
import subprocess
import sys
import wave
from pathlib import Path

import espeakng_loader

_TIMEOUT_S = 30
_USUAL_WORDS_A_MINUTE = 175
_RETRIEVE, _RATE, _CHARACTERS, _UTF8, _END_PAUSE = 1, 1, 1, 1, 0x1000  # of speak_lib.h
_BUFFER_MS = 200
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
_ROOT = Path(__file__).resolve().parent.parent


class SpeechFailed(Exception):
    """The text could not be spoken."""


def speak(text: str, language: str, speed: float) -> bytes:
    """*text* as a WAV file.

    Raises:
        SpeechFailed: the library failed, or took too long.
    """
    command = [sys.executable, "-m", "speech.espeak", language, str(speed)]
    try:
        done = subprocess.run(  # noqa: S603 - our own module
            command, input=text.encode(), capture_output=True, timeout=_TIMEOUT_S, check=True, cwd=_ROOT
        )
    except (subprocess.SubprocessError, OSError) as exc:
        raise SpeechFailed(_describe(exc)) from exc
    return done.stdout


def _describe(exc: Exception) -> str:
    return exc.stderr.decode(errors="replace") if isinstance(exc, subprocess.CalledProcessError) else str(exc)


def main() -> None:
    """Speak what stands on standard input."""
    language, speed = sys.argv[1], float(sys.argv[2])
    sys.stdout.buffer.write(_synthesize(sys.stdin.buffer.read(), language, speed))


def _synthesize(text: bytes, language: str, speed: float) -> bytes:
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    rate = library.espeak_Initialize(_RETRIEVE, _BUFFER_MS, espeakng_loader.get_data_path().encode(), 0)
    if rate <= 0 or library.espeak_SetVoiceByName(language.encode()) != 0:
        raise SystemExit(f"espeak-ng has no voice for {language}.")
    sound = bytearray()

    def keep(samples: int | None, count: int, events: int) -> int:
        if samples:
            sound.extend(ctypes.string_at(samples, 2 * count))
        return 0

    callback = _CALLBACK(keep)  # which has to live as long as it may be called
    library.espeak_SetSynthCallback(callback)
    library.espeak_SetParameter(_RATE, round(_USUAL_WORDS_A_MINUTE * speed), 0)
    ended = text.replace(b"\0", b" ") + b"\0"
    if library.espeak_Synth(ended, len(ended), 0, _CHARACTERS, 0, _UTF8 | _END_PAUSE, None, None) != 0:
        raise SystemExit("espeak-ng failed.")
    library.espeak_Synchronize()
    return _make_wav(bytes(sound), rate)


def _make_wav(samples: bytes, rate: int) -> bytes:
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples)
    return written.getvalue()


if __name__ == "__main__":
    main()

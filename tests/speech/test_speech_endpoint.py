"""`python -m speech`, as a process of its own over HTTP. What needs weights is measured by `benchmarks/voice.py`."""

import io
import os
import subprocess
import sys
import time
import wave
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import httpx
import numpy as np
import pytest

from providers.openai_errors import is_of_file
from speech import espeak
from speech.recordings import LONGEST_S, RATE, BadRecording, read_samples
from speech.server import make_app
from speech.transcription import Busy, UnknownLanguage
from tests.fakes.speech_server import make_wav
from tests.service import ROOT, START_LIMIT_S, free_port
from tests.validation import check
from utils.processes import Child, Command

pytestmark = pytest.mark.long
KEY = "a-key-of-the-endpoint"
TEXTS = {
    "en": "How much does a dormitory room cost?",
    "id": "Jam berapa perpustakaan buka?",
    "es": "¿Cuánto cuesta la habitación?",
}

UNITS = ["\0", "\x1b", " ", "\n", "a", "9", "[[", "<speak>", "\u202e", "\U0001f600", "漢", "ع", "\uffff"]
UNITS += ["e" + "\u0301" * 31]


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    port = free_port()
    argv = [sys.executable, "-m", "speech", "--port", str(port)]
    log = tmp_path_factory.mktemp("speech") / "speech.log"
    child = Child(Command(name="speech", argv=argv, cwd=ROOT, log_path=log, variables={"SPEECH_API_KEY": KEY}))
    headers = {"Authorization": f"Bearer {KEY}"}
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client:
            assert child.wait_until(lambda: is_healthy(client), START_LIMIT_S), child.log()
            yield client
    finally:
        child.stop(5)


def is_healthy(client: httpx.Client) -> bool:
    with suppress(httpx.ConnectError):
        return bool(client.get("/health").json() == {"status": "healthy", "transcribes": False})
    return False


def speak(client: httpx.Client, text: str, **more: object) -> httpx.Response:
    return client.post("/v1/audio/speech", json={"input": text, "voice": "any", "response_format": "wav", **more})


def seconds(sound: bytes) -> float:
    with wave.open(io.BytesIO(sound)) as file:
        return file.getnframes() / file.getframerate()


def loudness(sound: bytes) -> float:
    return float(np.abs(read_samples(sound)).max())


@pytest.mark.parametrize("language", TEXTS)
def test_a_text_is_spoken_in_its_language(endpoint: httpx.Client, language: str) -> None:
    spoken = speak(endpoint, TEXTS[language])
    assert (spoken.status_code, spoken.headers["Content-Type"]) == (200, "audio/wav")
    assert 1 < seconds(spoken.content) < 10
    assert loudness(spoken.content) > 0.1
    slowly = speak(endpoint, TEXTS[language], speed=0.5)
    assert seconds(slowly.content) > 1.5 * seconds(spoken.content)
    assert spoken.content == espeak.speak(TEXTS[language], language, 1)
    assert (spoken.content == espeak.speak(TEXTS[language], "en", 1)) == (language == "en")


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("length", [1, 100, 4096])
def test_hostile_texts_are_spoken(endpoint: httpx.Client, unit: str, length: int) -> None:
    answered = speak(endpoint, (unit * length)[:length])
    assert (answered.status_code, answered.content[:4]) == (200, b"RIFF"), answered.text


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"input": "Hello", "response_format": "mp3"}, "response_format"),
        ({"input": "Hello", "response_format": "wav", "speed": 9}, "speed"),
        ({"input": "", "response_format": "wav"}, "input"),
        ({"input": "a" * 4097, "response_format": "wav"}, "input"),
        ([], "body"),
    ],
)
def test_what_cannot_be_spoken_is_refused_by_name(endpoint: httpx.Client, body: object, told: str) -> None:
    refused = endpoint.post("/v1/audio/speech", json=body)
    assert refused.status_code == 400
    assert refused.json()["error"]["message"].startswith(told)


def test_without_weights_and_without_the_key_it_says_so(endpoint: httpx.Client) -> None:
    sent = {"file": ("a.wav", make_wav(1))}
    for files in (sent, None):
        refused = endpoint.post("/v1/audio/transcriptions", files=files)
        assert (refused.status_code, "no model" in refused.json()["error"]["message"]) == (404, True)
    for key in ("", "Bearer", "Bearer other", f"bearer {KEY}"):
        for path in ("/v1/audio/transcriptions", "/v1/audio/speech"):
            assert endpoint.post(path, files=sent, headers={"Authorization": key}).status_code == 401
    too_large = endpoint.post("/v1/audio/transcriptions", files={"file": ("a.wav", bytes(18 * 1024 * 1024))})
    assert too_large.status_code == 413
    assert endpoint.get("/nothing").json()["error"]["message"]


def test_the_operators_check_finds_that_it_has_no_model_for_recordings(endpoint: httpx.Client, tmp_path: Path) -> None:
    url = f"{endpoint.base_url}/v1"
    report = check(tmp_path, "Voice", STT_BASE_URL=url, TTS_BASE_URL=url, STT_API_KEY=KEY, TTS_API_KEY=KEY)
    assert report.failing == ["Speech to text"], report.text
    [finding] = report.of("Speech to text")
    assert "has no model for recordings" in finding["found"]
    assert finding["remedy"] == "Start it with one, or unset STT_BASE_URL."


class NoWeights:
    """In place of a model, whose weights no test has: reads the recording, and knows English alone."""

    def __init__(self) -> None:
        self.is_busy = False

    def transcribe(self, data: bytes, language: str | None) -> str:
        if self.is_busy:
            raise Busy
        if language not in (None, "en"):
            raise UnknownLanguage(language)
        return f"{len(read_samples(data)) / RATE:.1f} seconds"


def test_what_a_recording_comes_to_is_told_as_openai_does() -> None:
    model = NoWeights()
    client = make_app(model).test_client()  # type: ignore[arg-type] # all that it asks of a model

    def send(data: bytes, **fields: str) -> tuple[int, str]:
        form = {"file": (io.BytesIO(data), "speech.wav"), "model": "any", **fields}
        answer = client.post("/v1/audio/transcriptions", data=form)
        told = answer.get_json()
        return answer.status_code, told.get("text") or told["error"]["message"]

    assert send(make_wav(2), language="en") == (200, "2.0 seconds")
    status, told = send(os.urandom(1000))
    assert (status, is_of_file(status, told)) == (400, True)
    status, told = send(make_wav(LONGEST_S + 5, rate=200))
    assert (status, is_of_file(status, told)) == (400, True)
    status, told = send(make_wav(2), language="zz")
    assert (status, told.startswith("language")) == (400, True)
    model.is_busy = True
    assert send(make_wav(2))[0] == 503


def test_it_is_not_open_to_others_without_a_key() -> None:
    command = [sys.executable, "-m", "speech", "--host", "192.0.2.1"]
    variables = {name: value for name, value in os.environ.items() if name != "SPEECH_API_KEY"}
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "set SPEECH_API_KEY" in done.stderr


@pytest.mark.parametrize("kind", ["wav", "flac", "mp3", "ogg", "webm", "mp4"])
def test_recordings_of_every_kind_are_read_whole_cut_or_refused(kind: str) -> None:
    data = encode(kind, seconds=2)
    assert len(read_samples(data)) == pytest.approx(2 * RATE, rel=0.1)
    for length in {*range(0, 200, 7), *range(200, len(data), max(1, len(data) // 40))}:
        try:
            samples = read_samples(data[:length])
        except BadRecording:
            continue
        assert 0 < len(samples) < 2.2 * RATE


def test_what_only_looks_like_a_recording_opens_nothing() -> None:
    port = free_port()
    lines = ["v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=x", "c=IN IP4 127.0.0.1", "t=0 0", f"m=audio {port} RTP/AVP 0"]
    description = "\r\n".join([*lines, "a=rtpmap:0 PCMU/8000", ""]).encode()
    playlist = b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n"
    for head in (b"", b"\xff\xfb\x90\x64\r\n", b"ID3\x04\0\0\0\0\0\0"):
        for data in (description, playlist):
            began_s = time.monotonic()
            with pytest.raises(BadRecording):
                read_samples(head + data)
            assert time.monotonic() - began_s < 10, "It waited for a stream."  # FFmpeg does so for 20 s


def test_hours_of_silence_in_few_bytes_are_refused() -> None:
    data = encode("flac", seconds=LONGEST_S + 60, level=0)
    assert len(data) < 2_000_000
    with pytest.raises(BadRecording, match="not supported"):
        read_samples(data)


def encode(kind: str, *, seconds: int, level: float = 0.3) -> bytes:
    """A tone as a sound file."""
    codecs = {"wav": "pcm_s16le", "flac": "flac", "mp3": "libmp3lame", "mp4": "aac"}
    written = io.BytesIO()
    with av.open(written, "w", format=kind) as container:
        stream = container.add_stream(codecs.get(kind, "libopus"), rate=48_000, layout="mono")
        wanted = stream.format.name
        resampler = av.AudioResampler(format=wanted, layout="mono", rate=48_000)
        tone = (np.sin(np.arange(48_000) / 20) * level * 32_767).astype(np.int16).reshape(1, -1)
        for second in range(seconds):
            frame = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 48_000, second * 48_000, Fraction(1, 48_000)
            for each in resampler.resample(frame):
                container.mux(stream.encode(each))
        container.mux(stream.encode(None))
    return written.getvalue()

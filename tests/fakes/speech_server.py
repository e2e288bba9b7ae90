"""An OpenAI-compatible endpoint for speech to text and text to speech over real HTTP, which misbehaves when told to.

`POST /v1/predict` tells an emotion, in the format of `providers/speech/emotion.py`.

Wire format: https://platform.openai.com/docs/api-reference/audio
"""

import io
import json
import threading
import wave
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesParser
from typing import Any, Self

from tests.fakes.http_server import HttpServer, QuietHandler
from utils.audio import NO_TRANSCRIPTION


def make_wav(seconds: float, *, level: int = 8_000, rate: int = 16_000) -> bytes:
    """A square wave of that level; silence where it is 0."""
    written = io.BytesIO()
    with wave.open(written, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        period = level.to_bytes(2, "little", signed=True) * 40 + (-level).to_bytes(2, "little", signed=True) * 40
        sound.writeframes((period * (int(seconds * rate) // 80 + 1))[: int(seconds * rate) * 2])
    return written.getvalue()


@dataclass
class FakeSpeechServer:
    """What it hears and says. `statuses`: of the next calls, in place of an answer, with `refusal` as their words
    and `code`.

    It answers once `may_answer` is set, as it is at first. With `has_model` unset it is as `python -m speech` without
    weights: a question without a recording, which is counted in `look_count` alone, finds that out.
    """

    heard: str = "How much does a dormitory room cost?"
    sound: bytes = field(default_factory=lambda: make_wav(0.1))
    refusal: str = "secret words"
    code: str = "fake"
    emotion: Any = "sad"
    has_model: bool = True
    look_count: int = 0
    may_answer: threading.Event = field(default_factory=threading.Event)
    statuses: list[int] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)

    @property
    def base_url(self) -> str:
        """What a client is given."""
        return f"{self._server.url}/v1"

    def __enter__(self) -> Self:
        fake = self
        self.may_answer.set()

        class Answer(QuietHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                sent = _read(self.headers, body)
                if self.path.endswith("/transcriptions") and "file" not in sent:
                    fake.look_count += 1
                    self._send(*(400, {}) if fake.has_model else (404, {"error": {"code": NO_TRANSCRIPTION}}))
                    return
                fake.requests.append({"path": self.path, "headers": dict(self.headers), **sent})
                fake.may_answer.wait(60)
                status = fake.statuses.pop(0) if fake.statuses else 200
                if status != 200:
                    self._send(status, {"error": {"message": fake.refusal, "code": fake.code}})
                elif self.path.endswith("/speech"):
                    self._send(200, fake.sound)
                else:
                    self._send(200, {"text": fake.heard, "prediction": fake.emotion})

            def _send(self, status: int, body: bytes | dict[str, Any]) -> None:
                sent = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

        self._server = HttpServer(Answer)
        self._server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.__exit__()

    def reset(self) -> None:
        """As it was at first."""
        self.may_answer.set()
        self.heard, self.refusal = FakeSpeechServer.heard, FakeSpeechServer.refusal
        self.code, self.has_model = FakeSpeechServer.code, True
        self.sound, self.statuses, self.requests, self.emotion = make_wav(0.1), [], [], FakeSpeechServer.emotion


def _read(headers: Message, body: bytes) -> dict[str, Any]:
    if headers.get_content_type() == "application/json":
        return json.loads(body)  # type: ignore[no-any-return]
    whole = BytesParser().parsebytes(f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode() + body)
    parts = {part.get_param("name", header="content-disposition"): part for part in whole.walk() if part is not whole}
    read: dict[str, Any] = {str(name): part.get_payload(decode=True) for name, part in parts.items()}
    return read | ({"filename": parts["file"].get_filename()} if "file" in parts else {})

"""An endpoint of OpenAI's format on this machine: faster-whisper transcribes, espeak-ng speaks.

    python benchmarks/voice_endpoint.py PORT WEIGHTS

Run by the Python of an environment with faster-whisper 1.2; it needs nothing of ours. WEIGHTS is a folder with a
Whisper model in the format of CTranslate2. One recording is worked on after the other, by all
cores.
"""

import io
import json
import subprocess
import sys
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any

_ONE_AT_A_TIME = Lock()


class Endpoint(BaseHTTPRequestHandler):
    """Answers; the server has the model."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """A transcript, or speech in the voice that is named."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("/speech"):
            asked = json.loads(body)
            spoken = ["espeak-ng", "-v", asked["voice"], "--stdout", asked["input"]]
            self._answer("audio/wav", subprocess.run(spoken, capture_output=True, check=True).stdout)
        else:
            self._answer("application/json", json.dumps({"text": self._transcribe(body)}).encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def _transcribe(self, body: bytes) -> str:
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        parts: dict[str, Any] = {
            str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True)
            for part in BytesParser().parsebytes(head + body).walk()
            if not part.is_multipart()
        }
        language = parts["language"].decode() if "language" in parts else None
        model: Any = self.server.model  # type: ignore[attr-defined] # put there below
        with _ONE_AT_A_TIME:
            segments, _ = model.transcribe(io.BytesIO(parts["file"]), language=language, beam_size=5)
            return " ".join(segment.text.strip() for segment in segments)

    def _answer(self, media_type: str, data: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def main() -> None:
    """Load the model, and answer until the process is ended."""
    from faster_whisper import WhisperModel  # type: ignore[import-not-found,unused-ignore] # of another environment

    # A thread for each connection: one that is kept open would keep the others waiting.
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Endpoint)
    server.model = WhisperModel(sys.argv[2], device="cpu", compute_type="int8")  # type: ignore[attr-defined]
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()

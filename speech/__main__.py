"""Serve until the process is ended; see `docs/voice.md`."""

import argparse
import os
from pathlib import Path

from flask import Flask
from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]

from speech.server import make_app
from speech.transcription import Transcriber
from utils.addresses import is_this_machine

KEY_VARIABLE = "SPEECH_API_KEY"
_OPTIONS = {
    "proc_name": "speech",
    "control_socket_disable": True,  # a way in that nobody asked for
    "worker_class": "gthread",
    "workers": 1,  # of which each would have a model of its own
    "threads": 16,
    "timeout": 300,  # in which the weights have to be loaded
    "keepalive": 75,  # longer than the service keeps a connection that it does not use
}


class SpeechServer(BaseApplication):  # type: ignore[misc] # gunicorn has no types
    """Gunicorn with the endpoint, by what the command line says."""

    def __init__(self, options: argparse.Namespace, key: str) -> None:
        self._chosen, self._key = options, key
        super().__init__()

    def load_config(self) -> None:
        """Tell Gunicorn its settings."""
        for name, value in {**_OPTIONS, "bind": f"{self._chosen.host}:{self._chosen.port}"}.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """The endpoint, with its model: in the process that answers."""
        transcriber = Transcriber(self._chosen.weights) if self._chosen.weights else None
        return make_app(transcriber, key=self._key)


def main() -> None:
    """Read the command line, and answer."""
    parser = argparse.ArgumentParser(prog="python -m speech", description="Transcribe and speak on this machine.")
    parser.add_argument("--weights", type=Path, help="folder of a Whisper model for CTranslate2; none: only speak")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=8400, help="port to listen on (8400)")
    options = parser.parse_args()
    if options.weights and not (options.weights / "model.bin").is_file():
        parser.error(f"{options.weights}: there is no model.bin.")
    key = os.environ.get(KEY_VARIABLE, "")
    if not key and not is_this_machine(options.host):
        parser.error(f"{options.host} can be reached by others: set {KEY_VARIABLE}.")
    SpeechServer(options, key).run()


if __name__ == "__main__":
    main()

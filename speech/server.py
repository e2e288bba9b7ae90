"""The two routes, in the shape of OpenAI's: https://platform.openai.com/docs/api-reference/audio."""

import hmac
import logging
from typing import Annotated, Literal

from flask import Flask, Response, jsonify, request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from werkzeug.exceptions import HTTPException

from speech.espeak import SpeechFailed, speak
from speech.recordings import BadRecording
from speech.transcription import Busy, Transcriber, UnknownLanguage
from utils.audio import NO_TRANSCRIPTION
from utils.language import detect_language

_LARGEST_BYTES = 17 * 1024 * 1024  # a recording of 16 MB, and what stands around it


class SpeechIn(BaseModel):
    """What is to be spoken. The voice is that of the text's language, whatever name is given."""

    model_config = ConfigDict(extra="ignore")

    input: Annotated[str, Field(min_length=1, max_length=4096)]
    response_format: Literal["wav"]
    speed: float = Field(1, ge=0.25, le=4)


def make_app(transcriber: Transcriber | None, *, key: str = "") -> Flask:
    """The endpoint; *key*: what callers send as `Authorization: Bearer`, "" for nothing."""
    app = Flask("speech")
    app.config["MAX_CONTENT_LENGTH"] = _LARGEST_BYTES

    @app.before_request
    def check_key() -> tuple[Response, int] | None:
        sent = request.headers.get("Authorization", "")
        if key and request.path != "/health" and not hmac.compare_digest(sent.encode(), f"Bearer {key}".encode()):
            return _refuse(401, "Incorrect API key.")
        return None

    @app.get("/health")
    def tell_health() -> Response:
        return jsonify({"status": "healthy", "transcribes": transcriber is not None})

    @app.post("/v1/audio/transcriptions")
    def transcribe() -> Response | tuple[Response, int]:
        return _transcribe(transcriber)

    @app.post("/v1/audio/speech")
    def make_speech() -> Response | tuple[Response, int]:
        return _speak(app.logger)

    @app.errorhandler(HTTPException)
    def tell(error: HTTPException) -> tuple[Response, int]:
        return _refuse(error.code or 500, str(error.description))

    return app


def _transcribe(transcriber: Transcriber | None) -> Response | tuple[Response, int]:
    sent = request.files.get("file")
    if transcriber is None:  # also for a check without a recording
        return _refuse(404, "There is no model for recordings here.", code=NO_TRANSCRIPTION)
    if sent is None:
        return _refuse(400, "file: Is missing.")
    try:
        text = transcriber.transcribe(sent.read(), request.form.get("language") or None)
    except BadRecording as exc:
        return _refuse(400, str(exc))
    except UnknownLanguage:
        return _refuse(400, "language: The model does not know it.")
    except Busy:
        return _refuse(503, "Too many recordings are waiting.")
    return jsonify({"text": text})


def _speak(logger: logging.Logger) -> Response | tuple[Response, int]:
    try:
        body = SpeechIn.model_validate_json(request.get_data())
    except ValidationError as exc:
        error = exc.errors()[0]
        return _refuse(400, f"{'.'.join(map(str, error['loc'])) or 'body'}: {error['msg']}.")
    try:
        sound = speak(body.input, detect_language(body.input), body.speed)
    except SpeechFailed:
        logger.exception("A text could not be spoken.")
        return _refuse(500, "The text could not be spoken.")
    return Response(sound, mimetype="audio/wav")


def _refuse(status: int, message: str, code: str | None = None) -> tuple[Response, int]:
    return jsonify({"error": {"message": message, "type": "invalid_request_error", "code": code}}), status

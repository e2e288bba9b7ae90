"""Calls about speech: what was said in a recording, and an answer as sound. Each raises what `ApiClient` raises."""

from clients.api_client import ApiClient, make_answer_path
from clients.api_errors import ApiRefused, translate_failures

_TIMEOUT_S = 60.0
_BAD_REQUEST = 400


def transcribe(api: ApiClient, recording: bytes, language: str) -> str:
    """The words of the recording; *language* is the one that is likely spoken, as ISO 639-1, "" where none is.

    Refused with 422 where nobody speaks in it.
    """
    texts = {"model": "default", **({"language": language} if language else {})}
    body = api.send_form("/v1/audio/transcriptions", {"file": ("speech", recording)}, texts, timeout_s=_TIMEOUT_S)
    with translate_failures():
        return str(body["text"])


def speak_answer(api: ApiClient, conversation_id: str, run_id: str) -> bytes:
    """The answer as an MP3 file; as WAV, which takes more bytes, where the service has no MP3."""
    path = f"{make_answer_path(conversation_id, run_id)}/speech"
    try:
        return api.download("POST", path, body={"response_format": "mp3"}, timeout_s=_TIMEOUT_S)
    except ApiRefused as refusal:
        if refusal.status != _BAD_REQUEST:
            raise
        return api.download("POST", path, body={"response_format": "wav"}, timeout_s=_TIMEOUT_S)

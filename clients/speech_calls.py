"""Calls about speech: what was said in a recording, and an answer as sound. Each raises what `ApiClient` raises."""

from clients.api_client import ApiClient, make_answer_path
from clients.api_errors import translate_failures

_TIMEOUT_S = 60.0


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
    return api.download("POST", path, body={"response_format": "mp3_or_wav"}, timeout_s=_TIMEOUT_S)

"""Questions that are spoken, and answers that are heard."""

from dataclasses import dataclass
from typing import Any

import streamlit as st

from clients.api_client import ApiClient
from clients.api_errors import ApiError, ApiRefused
from clients.speech_calls import speak_answer, transcribe
from clients.streamlit_chat.attempts import ask, find_edited_parent
from clients.streamlit_chat.base64_data import decode_base64
from clients.streamlit_chat.browser import get_spoken, mount_microphone
from clients.streamlit_chat.failures import announce_failure
from clients.streamlit_chat.markdown import escape_markdown
from clients.streamlit_chat.settings import read_settings
from clients.streamlit_chat.talk import LONGEST_QUESTION, Talk
from clients.streamlit_chat.terms import find_terms
from clients.streamlit_chat.texts import find_spoken_language, say
from clients.streamlit_chat.wording import explain_to_visitor, log_failure

_SPOKEN, _HEARD = "spoken", "heard"
# In Base64 it fits into a message to Streamlit, see `attachments`; some five minutes as browsers record.
_LARGEST_BYTES = 5_000_000
_NOBODY_SPEAKS, _ENDPOINT_FAILS = 422, 502


@dataclass(slots=True)
class PendingRecording:
    """A recording that is to be transcribed; `failure` is why the last one did not become a question."""

    recording: bytes = b""
    failure: str = ""


@dataclass(frozen=True, slots=True)
class PlayedAnswer:
    """The sound of the answer that is listened to."""

    run_id: str
    sound: bytes


def ask_spoken(talk: Talk, api: ApiClient) -> None:
    """Ask what the visitor has said."""
    spoken = _find()
    if talk.question is not None:
        spoken.failure = ""  # it was asked by other means
    if not spoken.recording:
        return
    recording, spoken.recording = spoken.recording, b""
    with st.spinner(say("speak_understanding")):
        try:
            text = transcribe(api, recording, find_spoken_language()).strip()
        except ApiError as failure:
            log_failure(failure)
            spoken.failure = _explain(failure)
            return
    if len(text) > LONGEST_QUESTION:
        spoken.failure = say("speak_too_long")
    else:
        ask(talk, text, find_edited_parent(talk))


def show_microphone() -> None:
    """A button to speak a question with; below it why the last one was not understood."""
    spoken = _find()
    if spoken.failure:
        st.error(escape_markdown(spoken.failure), icon=":material/error:")
    mount_microphone(most_bytes=_LARGEST_BYTES, on_spoken=_take)


def are_answers_spoken(api: ApiClient) -> bool:
    """Whether the service reads answers aloud."""
    terms = find_terms(read_settings().api, api=api)
    return terms is not None and terms.are_answers_spoken


def show_sound(run_id: str) -> None:
    """What plays the answer of that run, where it was asked for last."""
    heard: PlayedAnswer | None = st.session_state.get(_HEARD)
    if heard is not None and heard.run_id == run_id:
        st.audio(heard.sound, format="audio/wav" if heard.sound[:4] == b"RIFF" else "audio/mp3", autoplay=True)


def listen(api: ApiClient, conversation_id: str, run_id: str) -> None:
    """Play the answer of that run, or end that."""
    heard: PlayedAnswer | None = st.session_state.get(_HEARD)
    if heard is not None and heard.run_id == run_id:
        del st.session_state[_HEARD]  # pressed again: enough
        return
    try:
        st.session_state[_HEARD] = PlayedAnswer(run_id, speak_answer(api, conversation_id, run_id))
    except ApiError as failure:
        announce_failure("listen_failed", failure)


def _find() -> PendingRecording:
    spoken: PendingRecording = st.session_state.setdefault(_SPOKEN, PendingRecording())
    return spoken


def _take() -> None:
    """Note what the browser sent, which may be anything."""
    data = read_recording(get_spoken())
    if data is None:
        st.session_state[_SPOKEN] = PendingRecording(failure=say("speak_too_long"))
    else:
        st.session_state[_SPOKEN] = PendingRecording(data)


def read_recording(sent: Any) -> bytes | None:
    """The bytes of a recording; None where it is too large, or is none."""
    data = decode_base64(sent)
    return data if data and len(data) <= _LARGEST_BYTES else None


def _explain(failure: ApiError) -> str:
    if isinstance(failure, ApiRefused) and failure.status == _NOBODY_SPEAKS:
        return say("speak_nothing")
    if isinstance(failure, ApiRefused) and failure.status == _ENDPOINT_FAILS:
        return say("speak_away")
    return ": ".join(explain_to_visitor(failure))

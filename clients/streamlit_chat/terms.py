"""For how long the service keeps conversations, and whether they may be shared: the same for all visitors."""

import time

import streamlit as st

from clients.api_client import ApiAddress, ApiClient
from clients.api_errors import ApiError
from clients.conversation_calls import Terms, read_terms
from clients.streamlit_chat.texts import say
from clients.streamlit_chat.wording import tell_time

_KEPT_S, _ASK_AGAIN_S, _KNOWN = 60, 10.0, "terms"


def find_terms(address: ApiAddress, *, api: ApiClient) -> Terms | None:
    """What holds at *address*, or last held where it cannot be asked now; None where this tab never knew."""
    terms: Terms | None
    terms, due_s = st.session_state.get(_KNOWN, (None, 0.0))
    if time.monotonic() >= due_s:
        try:
            terms, due_s = _get_cached_terms(address, _api=api), 0.0
        except ApiError:
            due_s = time.monotonic() + _ASK_AGAIN_S
        st.session_state[_KNOWN] = terms, due_s
    return terms


@st.cache_data(show_spinner=False, ttl=_KEPT_S, max_entries=4)
def _get_cached_terms(address: ApiAddress, *, _api: ApiClient) -> Terms:
    return read_terms(_api)


def tell_terms(terms: Terms | None) -> str:
    """For how long conversations are kept, as a sentence; empty where that is not known."""
    return say("kept_for", time=tell_time(terms.kept_s)) if terms else ""

"""For how long the service keeps conversations, and whether they may be shared: the same for all visitors."""

import streamlit as st

from clients.api_client import ApiAddress, ApiClient
from clients.api_errors import ApiError
from clients.conversation_calls import Terms, read_terms
from clients.streamlit_chat.texts import say
from clients.streamlit_chat.wording import tell_time

_KEPT_S = 60


@st.cache_data(show_spinner=False, ttl=_KEPT_S, max_entries=4)
def find_terms(address: ApiAddress, *, _api: ApiClient) -> Terms | None:
    """What holds at *address*; None where that is not known: then it is asked again after a minute."""
    try:
        return read_terms(_api)
    except ApiError:
        return None


def tell_terms(terms: Terms | None) -> str:
    """For how long conversations are kept, as a sentence; empty where that is not known."""
    return say("kept_for", time=tell_time(terms.kept_s)) if terms else ""

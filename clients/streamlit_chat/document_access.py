"""Who may add documents on the page: whoever has given it an API key that may write them.

The page's own key may not, so the right and the tenant are those of the visitor's key alone, and the API checks both.
"""

import re
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import urlsplit

import streamlit as st

from clients.api_client import ApiClient
from clients.api_errors import ApiError, ApiRefused
from clients.document_calls import check_document_access
from clients.streamlit_chat.key_attempts import get_key_attempts
from clients.streamlit_chat.markdown import escape_markdown
from clients.streamlit_chat.sessions import is_session_open
from clients.streamlit_chat.texts import say
from clients.streamlit_chat.uploads import Upload
from clients.streamlit_chat.wording import explain_to_visitor, log_failure, tell_time
from clients.visitors import Visitor

PARAMETER = "documents"  # of the page's address: the key is asked for
_KEPT_S = 8 * 3600
_KEY = re.compile(r"[!-~]{1,512}")
_ASKED, _REFUSED = "document-key-asked", "document-key-refused"
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
_BY_STATUS = {401: "documents_key_invalid", 403: "documents_key_scopes", 404: "documents_key_tenant"}


@dataclass(slots=True)
class DocumentAccess:
    """The key that a visitor has given, which ends at a moment of the monotonic clock, and the files added with it;
    `sessions` has the session of each tab that has shown them.

    It is kept in the memory of the page's server, by the visitor's id, so that it outlives a reload of the page; no
    browser keeps it.
    """

    key: str = field(repr=False)
    ends_at_s: float
    uploads: list[Upload] = field(default_factory=list)
    sessions: dict[str, str] = field(default_factory=dict, repr=False)

    def is_open(self, tab: str) -> bool:
        """Whether the visitor still has that tab."""
        return is_session_open(self.sessions.get(tab, ""))


def find_document_access(visitor_id: str) -> DocumentAccess | None:
    """What the visitor may add documents with; None where nothing was given, or it has ended."""
    known = _get_accesses()
    for other, access in list(known.items()):
        if access.ends_at_s <= time.monotonic():
            known.pop(other, None)
    return known.get(visitor_id)


def end_document_access(visitor_id: str, reason: str = "") -> None:
    """Forget the key; *reason* is shown where it is asked for again."""
    _get_accesses().pop(visitor_id, None)
    if reason:
        st.session_state[_ASKED], st.session_state[_REFUSED] = True, reason


def show_document_key(api: ApiClient, visitor: Visitor) -> None:
    """Ask for a key where the address says so. On the machine that the page runs on a button offers it."""
    if st.query_params.get(PARAMETER) is not None or st.session_state.get(_ASKED):
        _ask_for_key(api, visitor)
    elif _is_this_machine():
        st.button(say("documents_add"), icon=":material/note_add:", on_click=_begin_asking)


def explain_refused_key(failure: ApiError) -> str:
    """Why the key does not do, in a sentence or two."""
    log_failure(failure)
    if isinstance(failure, ApiRefused) and failure.status in _BY_STATUS:
        return say(_BY_STATUS[failure.status])
    return ": ".join(explain_to_visitor(failure))


def _ask_for_key(api: ApiClient, visitor: Visitor) -> None:
    with st.form("document-key", clear_on_submit=True):
        st.markdown(f"**{say('documents_add')}**")
        st.caption(f"{say('documents_key_means')} {say('documents_key_where') if _is_this_machine() else ''}")
        key = st.text_input(say("documents_key"), type="password", max_chars=512, autocomplete="off").strip()
        if refused := st.session_state.get(_REFUSED):
            st.error(escape_markdown(refused), icon=":material/error:")
        with st.container(horizontal=True):
            is_given = st.form_submit_button(say("documents_key_use"), type="primary")
            st.form_submit_button(say("cancel"), on_click=_end_asking)
    if is_given:
        _take_key(api, visitor, key)
        st.rerun()


def _is_this_machine() -> bool:
    """Whether the visitor's browser says that the page is on the same machine; it opens nothing."""
    return urlsplit(st.context.url or "").hostname in _THIS_MACHINE


def _take_key(api: ApiClient, visitor: Visitor, key: str) -> None:
    refused = _try_key(api, visitor, key) if _KEY.fullmatch(key) else say("documents_key_invalid")
    if refused:
        st.session_state[_REFUSED] = refused
        return
    _get_accesses()[visitor.visitor_id] = DocumentAccess(key, time.monotonic() + _KEPT_S)
    _end_asking()


def _try_key(api: ApiClient, visitor: Visitor, key: str) -> str:
    """Why the key does not do, "" where it does. A wrong one is counted."""
    attempts = get_key_attempts()
    if wait_s := attempts.begin(visitor):
        return say("documents_key_wait", time=tell_time(wait_s))
    try:
        check_document_access(api.with_key(key))
    except ApiError as failure:
        if not (isinstance(failure, ApiRefused) and failure.status == HTTPStatus.UNAUTHORIZED):
            attempts.take_back(visitor)
        return explain_refused_key(failure)
    attempts.take_back(visitor)
    return ""


def _begin_asking() -> None:
    st.session_state[_ASKED] = True


def _end_asking() -> None:
    st.session_state.pop(_ASKED, None)
    st.session_state.pop(_REFUSED, None)
    st.query_params.pop(PARAMETER, None)


@st.cache_resource(show_spinner=False)
def _get_accesses() -> dict[str, DocumentAccess]:
    """By the visitor's id."""
    return {}

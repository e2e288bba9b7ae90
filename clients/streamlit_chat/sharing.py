"""A dialog that makes links to the conversation, and revokes them."""

from dataclasses import dataclass

import streamlit as st

from clients.api_client import ApiClient
from clients.api_errors import ApiError, ignore_missing
from clients.conversation_calls import Share, list_shares, revoke, share
from clients.streamlit_chat.browser import mount_actions
from clients.streamlit_chat.failures import show_reason
from clients.streamlit_chat.links import link_for_browser
from clients.streamlit_chat.markdown import escape_markdown
from clients.streamlit_chat.settings import read_settings
from clients.streamlit_chat.talk import Talk
from clients.streamlit_chat.terms import find_terms
from clients.streamlit_chat.texts import say
from clients.streamlit_chat.wording import log_failure

_SHARING = "sharing"


@dataclass(slots=True)
class Sharing:
    """The conversation and its branch that are shared, and the link that was made last; `failure` is why something was
    not done."""

    conversation_id: str
    branch: str = ""
    made: Share | None = None
    failure: ApiError | None = None


def show_share_button(talk: Talk) -> None:
    """A button that opens the dialog."""
    asked = Sharing(talk.conversation_id, talk.branch)
    st.button(say("share"), icon=":material/share:", type="tertiary", on_click=_open, args=(asked,))


def show_sharing(api: ApiClient) -> bool:
    """The dialog, where the visitor has opened it; whether that is so."""
    sharing: Sharing | None = st.session_state.get(_SHARING)
    if sharing is not None:
        st.dialog(say("share_this"), on_dismiss=_close)(_show)(api, sharing)
    return sharing is not None


def _open(sharing: Sharing) -> None:
    st.session_state[_SHARING] = sharing


def _close() -> None:
    st.session_state.pop(_SHARING, None)


def _show(api: ApiClient, sharing: Sharing) -> None:
    terms = find_terms(read_settings().api, api=api)
    st.markdown(say("share_means_sources" if terms and terms.are_sources_shared else "share_means"))
    if terms and terms.most_file_count:
        st.markdown(say("share_files"))
    st.button(say("share_make"), icon=":material/add_link:", type="primary", on_click=_make, args=(api, sharing))
    if sharing.made:
        _show_made(sharing.made)
    for each in _list(api, sharing):
        with st.container(horizontal=True, vertical_alignment="center"):
            made = escape_markdown(each.created_at[:10])
            end = escape_markdown(each.expires_at[:10])
            st.markdown(say("share_dates", made=made, end=end), width="stretch")
            st.button(say("revoke"), key=f"revoke-{each.id}", on_click=_revoke, args=(api, sharing, each.id))
    show_reason(sharing.failure)


def _show_made(made: Share) -> None:
    address = link_for_browser(made.url, st.context.url) or made.url
    st.code(address, language=None, wrap_lines=True)
    mount_actions("share", {"copy": {"label": say("copy_link"), "done": say("copied"), "text": address, "html": ""}})


def _list(api: ApiClient, sharing: Sharing) -> list[Share]:
    try:
        with ignore_missing():  # the service does not keep the conversation
            return list_shares(api, sharing.conversation_id)
    except ApiError as failure:
        log_failure(failure)
        sharing.failure = failure
    return []


def _make(api: ApiClient, sharing: Sharing) -> None:
    sharing.made = sharing.failure = None
    try:
        sharing.made = share(api, sharing.conversation_id, sharing.branch)
    except ApiError as failure:
        log_failure(failure)
        sharing.failure = failure


def _revoke(api: ApiClient, sharing: Sharing, share_id: str) -> None:
    sharing.failure = None
    try:
        with ignore_missing():
            revoke(api, sharing.conversation_id, share_id)
    except ApiError as failure:
        log_failure(failure)
        sharing.failure = failure
        return
    if sharing.made and sharing.made.id == share_id:
        sharing.made = None

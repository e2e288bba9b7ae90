"""Signing in to the page by OpenID Connect, with Streamlit's own means."""

import hmac
from typing import Any

import streamlit as st

from clients.streamlit_chat.middleware import SIGN_IN_FAILED
from clients.streamlit_chat.settings import PageSettings, SignIn
from clients.streamlit_chat.texts import say
from clients.visitors import make_user_token

_LONGEST_NAME = 30  # fits a small screen
_OWNER = 12
_PURPOSE = b"pustaka chat page cookies v1"


def make_streamlit_secrets(settings: PageSettings) -> dict[str, Any]:
    """What Streamlit needs to know of the provider; nothing where nobody signs in. None of it is written to a disk."""
    sign_in = settings.sign_in
    if sign_in is None:
        return {}
    auth = {
        "redirect_uri": f"{sign_in.chat_url}/oauth2callback",
        "cookie_secret": hmac.digest(settings.api.key.encode(), _PURPOSE, "sha256").hex(),
        "client_id": sign_in.client_id,
        "client_secret": sign_in.client_secret,
        "server_metadata_url": f"{sign_in.issuer}/.well-known/openid-configuration",
    }
    return {"auth": auth}


def get_signed_in_token(settings: PageSettings) -> str | None:
    """The token of who has signed in: the same visitor in every browser. None for anybody else."""
    if settings.sign_in is None or not _is_signed_in():
        return None
    issuer, subject = st.user.get("iss") or settings.sign_in.issuer, st.user.get("sub")
    return make_user_token(settings.api.key, str(issuer), str(subject)) if subject else None


def name_owner(settings: PageSettings) -> str:
    """Names who has signed in, for the browser to tell what it keeps of them from what it keeps of others; "" for
    nobody."""
    signed_in = get_signed_in_token(settings)
    return signed_in.split(".")[1][:_OWNER] if signed_in else ""


def show_account(sign_in: SignIn) -> None:
    """Who is signed in, and a button to sign in, or out."""
    if _is_signed_in():
        if name := str(st.user.get("name") or st.user.get("email") or ""):
            st.text(name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…", width="content")
        st.button(say("sign_out"), icon=":material/logout:", type="tertiary", on_click=st.logout)
    elif not sign_in.is_required:
        st.button(say("sign_in"), icon=":material/login:", type="tertiary", on_click=st.login)


def note_failed_sign_in() -> None:
    """Remember what the address says, for `show_failed_sign_in`; a reload is told nothing any more."""
    if st.query_params.pop(SIGN_IN_FAILED, None) is not None:
        st.session_state[SIGN_IN_FAILED] = True


def forget_failed_sign_in() -> None:
    """Go on without signing in."""
    st.session_state.pop(SIGN_IN_FAILED, None)


def show_failed_sign_in() -> None:
    """Say that signing in has failed, where it has."""
    if st.session_state.get(SIGN_IN_FAILED) and not _is_signed_in():
        st.error(say("sign_in_failed"), icon=":material/error:")


def show_sign_in() -> None:
    """What stands on the page where everybody has to sign in, for who has not."""
    show_failed_sign_in()
    st.markdown(say("sign_in_first"))
    st.button(say("sign_in"), icon=":material/login:", type="primary", on_click=st.login)


def _is_signed_in() -> bool:
    return bool(st.user.get("is_logged_in"))

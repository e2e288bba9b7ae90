"""Signing in to the page by OpenID Connect, with Streamlit's own means."""

import hmac
from typing import Any

import streamlit as st

from clients.streamlit_chat.markdown import plain_markdown
from clients.streamlit_chat.settings import PageSettings, SignIn
from clients.visitors import user_token

_PURPOSE = b"pustaka chat page cookies v1"


def streamlit_secrets(settings: PageSettings) -> dict[str, Any]:
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


def signed_in_token(settings: PageSettings) -> str | None:
    """The token of who has signed in: the same visitor in every browser. None for anybody else."""
    if settings.sign_in is None or not _is_signed_in():
        return None
    issuer, subject = st.user.get("iss") or settings.sign_in.issuer, st.user.get("sub")
    return user_token(settings.api.key, str(issuer), str(subject)) if subject else None


def show_account(sign_in: SignIn) -> None:
    """A button to sign in, or out."""
    if _is_signed_in():
        name = str(st.user.get("name") or st.user.get("email") or "")
        help_text = plain_markdown(f"Signed in as {name}") if name else None
        st.button("Sign out", icon=":material/logout:", type="tertiary", help=help_text, on_click=st.logout)
    elif not sign_in.is_required:
        st.button("Sign in", icon=":material/login:", type="tertiary", on_click=st.login)


def show_sign_in() -> None:
    """What stands on the page where everybody has to sign in, for who has not."""
    st.markdown("Sign in to ask what you would like to know.")
    st.button("Sign in", icon=":material/login:", type="primary", on_click=st.login)


def _is_signed_in() -> bool:
    return bool(st.user.get("is_logged_in"))

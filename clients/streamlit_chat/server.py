"""The server of the chat page: Streamlit's, with what stands before it."""

import logging
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

from clients.streamlit_chat.middleware import OpenPaths, QuietDialogs, SecurityHeaders, SignInFailures
from clients.streamlit_chat.origins import SameOrigin
from clients.streamlit_chat.packed import PackedFiles
from clients.streamlit_chat.settings import PageSettings, read_settings
from clients.streamlit_chat.shell import PageShell
from clients.streamlit_chat.texts import say
from clients.streamlit_chat.visitor_cookie import NEW_VISITOR, VisitorCookie

SCRIPT = Path(__file__).with_name("script.py")
logger = logging.getLogger(__name__)


def read_settings_or_exit() -> PageSettings:
    """The page's settings.

    Raises:
        SystemExit: one is missing or wrong; it is named.
    """
    try:
        return read_settings()
    except ValueError as exc:
        raise SystemExit(str(exc)) from exc


def middleware(settings: PageSettings) -> list[Middleware]:
    """What every request passes before Streamlit's server gets it, the outermost first."""
    return [
        Middleware(SecurityHeaders, logo=settings.logo, keeps_cookies=settings.local_history == "on"),
        Middleware(OpenPaths, signing_in=settings.sign_in is not None, posts=frozenset({NEW_VISITOR})),
        Middleware(SameOrigin),
        Middleware(PackedFiles),
        Middleware(PageShell, settings=settings),
        Middleware(QuietDialogs),
        Middleware(SignInFailures),
        Middleware(VisitorCookie, page_key=settings.api.key, is_kept=settings.local_history == "on"),
    ]


def report_script_error(error: Exception) -> bool:
    """Write down what went wrong in the page's own code, and tell the visitor no more than that something did."""
    logger.error("The chat page failed.", exc_info=error)
    st.error(say("wrong_page"), icon=":material/error:")
    return True

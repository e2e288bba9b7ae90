"""What the page is told by whoever starts it. It runs in a process of its own, so `config.py` is not its business."""

import os
from dataclasses import dataclass, field

from clients.api_client import ApiAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """How visitors sign in by OpenID Connect; *is_required*: nobody is answered without."""

    is_required: bool
    chat_url: str
    issuer: str
    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class PageSettings:
    """The API the page speaks to, the name it bears, and its logo: a file's path, a URL, or None.

    `local_history` is where the browser lists past conversations: "on" keeps them, "session" until the tab is closed,
    "off" nowhere. `sign_in` is None where nobody can sign in.
    """

    api: ApiAddress
    title: str
    logo: str | None = None
    local_history: str = "on"
    sign_in: SignIn | None = None


def read_settings() -> PageSettings:
    """The settings from the environment, by the names that are asked for below.

    Raises:
        ValueError: one is missing or wrong, by its name.
    """
    url = os.environ.get("API_URL", "http://127.0.0.1:8000")
    # The API's own key is none for a page that strangers use: it may do everything.
    key = os.environ.get("CHAT_PAGE_KEY", "")
    if not url.startswith(("http://", "https://")):
        raise ValueError("API_URL must begin with http:// or https://.")
    if not key:
        raise ValueError("CHAT_PAGE_KEY is not set. Set the same one for the API and for the chat page.")
    title = os.environ.get("CHAT_TITLE") or os.environ.get("INSTITUTION") or "Pustaka"
    history = _choose("LOCAL_HISTORY", "on", "session", "off")
    return PageSettings(ApiAddress(url=url, key=key), title, os.environ.get("CHAT_LOGO") or None, history, _sign_in())


def _sign_in() -> SignIn | None:
    login = _choose("CHAT_LOGIN", "off", "optional", "required")
    if login == "off":
        return None
    return SignIn(
        is_required=login == "required",
        chat_url=_require("CHAT_URL").rstrip("/"),
        issuer=_require("OIDC_ISSUER").rstrip("/"),
        client_id=_require("OIDC_CLIENT_ID"),
        client_secret=_require("OIDC_CLIENT_SECRET"),
    )


def _choose(name: str, *choices: str) -> str:
    """One of *choices*, the first where nothing is set."""
    value = os.environ.get(name) or choices[0]
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}.")
    return value


def _require(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise ValueError(f"CHAT_LOGIN needs {name}.")
    return value

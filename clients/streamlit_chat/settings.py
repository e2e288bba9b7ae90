"""What the page is told by whoever starts it. It runs in a process of its own, so `config.py` is not its business."""

import os
from dataclasses import dataclass

from clients.api_client import ApiAddress


@dataclass(frozen=True, slots=True)
class PageSettings:
    """The API the page speaks to, the name it bears, and its logo: a file's path, a URL, or None.

    `local_history` is where the browser lists past conversations: "on" keeps them, "session" until the tab is closed,
    "off" nowhere.
    """

    api: ApiAddress
    title: str
    logo: str | None = None
    local_history: str = "on"


def read_settings() -> PageSettings:
    """The settings from API_URL, CHAT_PAGE_KEY, CHAT_TITLE or INSTITUTION, CHAT_LOGO, and LOCAL_HISTORY.

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
    local_history = os.environ.get("LOCAL_HISTORY") or "on"
    if local_history not in ("on", "session", "off"):
        raise ValueError("LOCAL_HISTORY must be on, session or off.")
    return PageSettings(ApiAddress(url=url, key=key), title, os.environ.get("CHAT_LOGO") or None, local_history)

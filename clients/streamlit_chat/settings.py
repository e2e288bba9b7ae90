"""What the page is told by whoever starts it. It runs in a process of its own, so `config.py` is not its business."""

import os
from dataclasses import dataclass

from clients.api_client import ApiAddress


@dataclass(frozen=True, slots=True)
class PageSettings:
    """The API the page speaks to, and the name it bears."""

    api: ApiAddress
    title: str


def read_settings() -> PageSettings:
    """The settings from API_URL, API_KEY and CHAT_TITLE.

    Raises:
        ValueError: API_URL or API_KEY is missing or wrong, by its name.
    """
    url, key = os.environ.get("API_URL", "http://127.0.0.1:8000"), os.environ.get("API_KEY", "")
    if not url.startswith(("http://", "https://")):
        raise ValueError("API_URL must begin with http:// or https://.")
    if not key:
        raise ValueError("API_KEY is not set: the page needs a key of the API.")
    return PageSettings(ApiAddress(url=url, key=key), os.environ.get("CHAT_TITLE") or "Pustaka")

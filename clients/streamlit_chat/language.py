"""In which language the page speaks, chosen by the visitor."""

from clients.streamlit_chat.browser import get_chosen_language, mount_language_switch
from clients.streamlit_chat.settings import PageSettings
from clients.streamlit_chat.texts import LANGUAGES, set_language


def show_language_switch(settings: PageSettings) -> None:
    """A list of the languages, which the next visit remembers where browsers may keep something."""
    mount_language_switch(is_kept=settings.local_history == "on", on_chosen=_choose)


def _choose() -> None:
    code = get_chosen_language()
    if isinstance(code, str) and code in LANGUAGES:
        set_language(code)

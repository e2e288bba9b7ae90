"""The parts of the page that run in the visitor's browser: scripts of ours, served by Streamlit with the page."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

_HERE = Path(__file__).parent


def mount_page_script(*, on_stopped: Callable[[], None]) -> None:
    """Let marks open their sources, and learn of "Stop": Streamlit ends the script without running it again."""
    _component("page", isolated=False)(key="page", on_stopped_change=on_stopped)


def mount_shelf(
    *,
    history: str,
    owner: str,
    current: Mapping[str, Any] | None,
    removed: Sequence[str],
    on_opened: Callable[[], None],
    on_discarded: Callable[[], None],
) -> None:
    """The list of conversations in the browser's own storage.

    Args:
        history: where it is kept: "on", "session" (until the tab is closed) or "off".
        owner: whose list it is, of all who use this browser; empty for who has not signed in.
        current: `{"id", "title", "turns"}` of the conversation that is shown, put on the list when it has turns.
        removed: ids to be taken off it.
        on_opened: called when one is chosen: `chosen("opened")` is its id.
        on_discarded: called when one is to be deleted: `chosen("discarded")` is its `{"id", "title"}`.
    """
    data = {"history": history, "owner": owner, "current": current, "removed": list(removed)}
    _component("shelf", isolated=True)(
        key="shelf", data=data, on_opened_change=on_opened, on_discarded_change=on_discarded
    )


def get_choice(what: str) -> Any:
    """What the browser sent with the choice; anything, since a browser sends what it likes."""
    return st.session_state["shelf"].get(what)


@cache  # Streamlit wants each registered once
def _component(name: str, *, isolated: bool) -> Callable[..., Any]:
    script, style = (_HERE.joinpath(f"{name}.{kind}").read_text("utf-8") for kind in ("js", "css"))
    return st.components.v2.component(f"pustaka_{name}", js=script, css=style, isolate_styles=isolated)

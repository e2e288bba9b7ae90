"""Which of the visitor's tabs are there: Streamlit has a session for each."""

from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx


def find_session_id() -> str:
    """The session of this tab, "" where the script is run without our server."""
    context = get_script_run_ctx(suppress_warning=True)
    return context.session_id if context else ""


def is_session_open(session_id: str) -> bool:
    """Whether its tab is connected now."""
    return runtime.exists() and runtime.get_instance().is_active_session(session_id)

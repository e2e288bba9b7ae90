"""The chat page: `streamlit run streamlit_app.py`, told by the variables that `settings.py` names."""

from streamlit.starlette import App

from clients.streamlit_chat.server import SCRIPT, middleware, report_script_error, settings_or_exit
from clients.streamlit_chat.signing_in import streamlit_secrets

settings = settings_or_exit()
# Streamlit's own server, with ours before it: `streamlit run` finds it by its class and its name.
app = App(
    SCRIPT,
    secrets=streamlit_secrets(settings),
    middleware=middleware(settings),
    on_script_error=report_script_error,
)

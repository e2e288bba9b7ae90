"""The chat page: `streamlit run streamlit_app.py`, told by the variables that `settings.py` names."""

from streamlit.starlette import App

from clients.streamlit_chat.server import SCRIPT, middleware, read_settings_or_exit, report_script_error
from clients.streamlit_chat.signing_in import make_streamlit_secrets

settings = read_settings_or_exit()
# Streamlit's own server, with ours before it: `streamlit run` finds it by its class and its name.
app = App(
    SCRIPT,
    secrets=make_streamlit_secrets(settings),
    middleware=middleware(settings),
    on_script_error=report_script_error,
)

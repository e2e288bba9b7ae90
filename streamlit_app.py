"""The chat page: `streamlit run streamlit_app.py`, told by the variables that `settings.py` names."""

from streamlit.starlette import App

from clients.streamlit_chat.server import SCRIPT, middleware, report_script_error

# Streamlit's own server, with ours before it: `streamlit run` finds it by its class and its name.
app = App(SCRIPT, middleware=middleware(), on_script_error=report_script_error)

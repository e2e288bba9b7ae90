"""The chat page: `streamlit run streamlit_app.py`, told by the variables that `settings.py` names."""

from clients.streamlit_chat.page import show_page

show_page()

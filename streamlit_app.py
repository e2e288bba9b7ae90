"""The chat page: `streamlit run streamlit_app.py`, with API_URL, API_KEY and CHAT_TITLE in the environment."""

from clients.streamlit_chat.page import show_page

show_page()

"""What Streamlit runs for every visitor, and again whenever something changes."""

from clients.streamlit_chat.page import show_page

show_page()

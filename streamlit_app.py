"""The chat page; `streamlit run streamlit_app.py`."""

import streamlit as st

st.title("Pustaka")

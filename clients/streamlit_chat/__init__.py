"""The chat page: what a visitor sees, drawn with Streamlit from what the API says."""

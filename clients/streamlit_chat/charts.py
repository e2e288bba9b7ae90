"""The charts of an answer, and the figures that they are drawn from."""

from collections.abc import Iterable, Mapping
from typing import Any

import streamlit as st

from clients.run_events import Chart
from clients.streamlit_chat.markdown import escape_markdown
from clients.streamlit_chat.tables import make_plain, show_rows
from clients.streamlit_chat.texts import say

_INK = "#33302b"


def show_charts(charts: Iterable[Chart], place: int) -> None:
    """Each chart of the answer at *place* in the conversation, and below it a table, which can be sorted and saved.

    Its title stands above it, where it has as many lines as a narrow screen takes.
    """
    for number, chart in enumerate(charts):
        title = chart.spec.get("title", {})
        if text := title.get("text"):
            st.markdown(f"**{escape_markdown(text)}**")
        if note := title.get("subtitle"):  # that it does not show all
            st.caption(escape_markdown(note))
        st.vega_lite_chart(None, _fit_page(chart.spec), width="stretch", key=f"chart-{place}-{number}")
        with st.expander(say("figures"), key=f"figures-{place}-{number}"):
            show_rows(_name_columns(chart.spec))


def _fit_page(spec: Mapping[str, Any]) -> dict[str, Any]:
    """*spec* without its title, and with the page's ink: on white, Streamlit's own is below 4.5 to 1."""
    drawn = {name: value for name, value in spec.items() if name != "title"}
    if st.context.theme.type == "dark":
        return drawn
    ink = {"labelColor": _INK, "titleColor": _INK}
    return {**drawn, "config": {"axis": ink, "legend": ink}}


def _name_columns(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows that are drawn, by the titles of their axes."""
    titles = {each["field"]: make_plain(each["title"]) for each in spec["encoding"].values() if "field" in each}
    rows = spec["data"]["values"]
    return [{titles[name]: cell for name, cell in row.items() if name in titles} for row in rows]

"""The rows that an answer about figures was made from, as tables that can be sorted and saved."""

import re
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import streamlit as st

from clients.api_client import ApiClient
from clients.run_events import ResultTable
from clients.streamlit_chat.markdown import escape_markdown
from clients.streamlit_chat.texts import say

# What programs for tables would compute in the CSV that Streamlit saves, as in the service's own: also within a text,
# as they may part cells by another mark than the comma. Numbers are none.
_PARTING = r"[;|\t\r\n]"
_FORMULA = re.compile(rf'^(?=[\t\r])|(^|{_PARTING}"*)(?=[=@]|[+-](?![0-9 ().,:/-]*(?:$|{_PARTING})))')


def show_tables(tables: Iterable[ResultTable], place: int) -> None:
    """Each result of the answer at *place* in the conversation that has more than one cell."""
    for number, table in enumerate(tables):
        if len(table.rows) * len(table.columns) > 1:
            with st.expander(say("figures"), key=f"table-{place}-{number}"):
                show_rows(_name_cells(table))
                if _has_more(table):
                    st.caption(escape_markdown(say("first_rows", shown=len(table.rows), count=table.row_count)))


def show_rows_button(tables: Sequence[ResultTable], conversation_id: str, api: ApiClient) -> None:
    """A button that saves all rows of the newest result, where the last of *tables* shows a part of them."""
    if tables and _has_more(tables[-1]):
        rows = partial(api.download_rows, conversation_id)
        st.download_button(say("all_rows"), rows, "data.csv", "text/csv", on_click="ignore", type="tertiary")


def show_rows(rows: Sequence[dict[str, Any]]) -> None:
    """*rows* by the names of their columns."""
    plain = [{name: make_plain(cell) for name, cell in row.items()} for row in rows]
    st.dataframe(plain, hide_index=True, width="stretch")


def _has_more(table: ResultTable) -> bool:
    return len(table.rows) < table.row_count


def _name_cells(table: ResultTable) -> list[dict[str, Any]]:
    """The rows; columns of one name are numbered."""
    names = [make_plain(name) for name in table.columns]
    if len(set(names)) < len(names):
        names = [f"{name} ({number})" for number, name in enumerate(names, 1)]
    return [dict(zip(names, row, strict=True)) for row in table.rows]


def make_plain(cell: Any) -> Any:
    """*cell* as no program for tables computes it."""
    return _FORMULA.sub(r"\1'", cell) if isinstance(cell, str) else cell

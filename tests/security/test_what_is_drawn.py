"""Nothing reaches Streamlit that has not been made safe: read in the code of the page, all of it."""

import ast
import re
from pathlib import Path
from typing import Any, TypeGuard

import pytest

from tests.security.drawn import DRAWING, PAGE, Module, modules, unsafe_texts

# Whatever these are given is more than Markdown, or a program; the page has no use for them.
NAMES = """
write write_stream html iframe image audio video latex graphviz_chart vega_lite_chart plotly_chart bokeh_chart map json
pydeck_chart dataframe data_editor table echo help exception file_uploader camera_input audio_input code
"""
TOO_MUCH = frozenset(NAMES.split())
# A chart that the service has described in a small grammar, a query and a link that stand as they are, figures in
# cells that show texts as they are, and the sound of an answer.
ALLOWED = {
    "charts": frozenset({"vega_lite_chart"}),
    "sharing": frozenset({"code"}),
    "sources": frozenset({"code"}),
    "speaking": frozenset({"audio"}),
    "tables": frozenset({"dataframe"}),
}


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.path.stem)
def test_every_text_is_cleaned_before_it_is_drawn(module: Module) -> None:
    assert unsafe_texts(module) == []


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.path.stem)
def test_the_page_uses_nothing_that_draws_more_than_markdown(module: Module) -> None:
    called = {each.func.attr for each in ast.walk(module.tree) if _may_draw(each)}
    assert called & TOO_MUCH == ALLOWED.get(module.path.stem, frozenset())
    keywords = {word.arg for each in ast.walk(module.tree) if isinstance(each, ast.Call) for word in each.keywords}
    assert "unsafe_allow_html" not in keywords


def _may_draw(node: ast.AST) -> TypeGuard[Any]:
    is_method = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    return is_method and ast.unparse(node.func.value) != "logger"  # type: ignore[attr-defined]


def test_texts_are_declared_safe_in_one_module_alone() -> None:
    made = [
        module.path.stem
        for module in modules()
        for each in ast.walk(module.tree)
        if isinstance(each, ast.Call) and isinstance(each.func, ast.Name) and each.func.id == "Markdown"
    ]
    assert set(made) == {"markdown"}


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("def f(x): st.markdown(x)", 1),
        ("def f(x): st.markdown(f'**{x}**')", 1),
        ("def f(x):\n    y = x.title\n    st.sidebar.error(y)", 1),
        ("def f(x): place.container().caption('a' if x else x)", 1),
        ("def f(x): st.button('Go', help=x)", 1),
        ("def f(x):\n    with st.expander(label(x)): pass\ndef label(x): return x", 1),
        ("def f(x): st.toast(body=x.detail)", 1),
        ("def f(x): st.markdown(*x)", 1),
        ("def f(x): st.info(**x)", 1),
        ("@st.dialog(NAME)\ndef f(x): st.chat_message('user', avatar=x)", 2),
        ("f = lambda x: st.warning(x)", 1),
        ("TEXTS = {'a': 'b'}\ndef f(x): st.caption(TEXTS[x]); st.caption(TEXTS.get(x, 'c'))", 0),
        ("TEXTS = {'a': 'b'}\ndef f(x): st.caption(TEXTS.get(x, x))", 1),
        ("def f(x): st.caption(say('a', b=x))", 1),
        ("def f(x): st.caption(say(x, b=escape_markdown(x)))", 0),
        ("def f(x):\n    y = escape_markdown(x)\n    st.error(f'**{y}**', icon=':material/error:')", 0),
    ],
)
def test_the_reader_of_code_finds_what_is_not_cleaned(tmp_path: Path, code: str, found: int) -> None:
    path = tmp_path / "module.py"
    path.write_text(code)
    assert len(unsafe_texts(Module(path, {}))) == found


def test_the_reader_of_code_knows_streamlits_functions() -> None:
    assert {"markdown", "error", "button", "expander", "link_button", "toast", "dialog"} <= set(DRAWING)


@pytest.mark.parametrize("script", sorted(PAGE.glob("*.js")), ids=lambda path: path.stem)
def test_scripts_of_the_page_put_in_texts_as_texts(script: Path) -> None:
    code = script.read_text("utf-8")
    assert (
        re.findall(r"outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|createContextualFragment", code)
        == []
    )
    html = re.findall(r"innerHTML\s*=\s*(.*)", code)
    assert [given for given in html if not re.fullmatch(r"'[^'$]*';", given)] == []

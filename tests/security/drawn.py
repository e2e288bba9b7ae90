"""What the chat page hands to Streamlit, found by reading its code.

A text is safe when the code says so: it is written in the code itself, comes out of `markdown.py`, or is made of such
texts alone.
"""

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import streamlit
from streamlit.delta_generator import DeltaGenerator

import clients.streamlit_chat

PAGE = Path(clients.streamlit_chat.__file__).parent
_CLEANING = frozenset({"answer_markdown", "escape_markdown", "make_bullet_list"})
# What gives addresses: for a link that is followed when it is chosen, or for the operator's own logo.
_CHECKING = frozenset({"link_for_browser", "clean_page_link", "usable_logo"})
_ADDRESSES = frozenset({"url", "link", "image", "images"})
# Parameters that Streamlit reads as Markdown or shows as a picture, whatever the element.
_NAMES = """
body label help text title icon caption avatar message header subheader placeholder content html data value options
page_title page_icon menu_items
"""
_TEXTS = frozenset(_NAMES.split())
_UNDRAWN = {("text_input", "value"), ("download_button", "data"), ("audio", "data")}  # no Markdown: a field, files
# What draws its text as it is, or none at all.
_AS_IT_IS = frozenset({"text", "set_page_config", "dataframe", "code"})


def _parameters() -> dict[str, tuple[str, ...]]:
    """The names of the parameters of everything that Streamlit draws, by the name of the function."""
    found: dict[str, tuple[str, ...]] = {}
    for owner in (streamlit, DeltaGenerator):
        for name, called in inspect.getmembers(owner, callable):
            if not name.startswith("_"):
                try:
                    names = tuple(inspect.signature(called).parameters)
                except (TypeError, ValueError):
                    continue
                found.setdefault(name, tuple(each for each in names if each != "self"))
    return found


DRAWING = _parameters()


@dataclass
class Module:
    """A module of the page."""

    path: Path
    others: "dict[str, Module]" = field(repr=False)

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.path.read_text("utf-8"))

    @cached_property
    def constants(self) -> dict[str, ast.expr]:
        """What is assigned once at the top of the module, by name."""
        return {
            target.id: each.value
            for each in self.tree.body
            if isinstance(each, ast.Assign)
            for target in each.targets
            if isinstance(target, ast.Name)
        }

    @cached_property
    def functions(self) -> dict[str, ast.FunctionDef]:
        return {each.name: each for each in ast.walk(self.tree) if isinstance(each, ast.FunctionDef)}

    @cached_property
    def imported(self) -> "dict[str, Module]":
        """From which module of the page a name comes."""
        prefix = f"{clients.streamlit_chat.__name__}."
        return {
            alias.name: self.others[each.module.removeprefix(prefix)]
            for each in self.tree.body
            if isinstance(each, ast.ImportFrom) and (each.module or "").startswith(prefix)
            for alias in each.names
        }


def modules() -> list[Module]:
    """Every module of the page."""
    known: dict[str, Module] = {}
    for path in sorted(PAGE.glob("*.py")):
        known[path.stem] = Module(path, known)
    return list(known.values())


def unsafe_texts(module: Module) -> list[str]:
    """Where the module hands on a text that it has not cleaned: line, function and argument."""
    return [
        f"{module.path.name}:{argument.lineno} {name}({ast.unparse(argument)})"
        for around in _scopes(module.tree)
        for call in _calls(around)
        for name, argument in _texts_of(call)
        if not is_safe(argument, module, around)
    ]


def _scopes(tree: ast.Module) -> Iterator[ast.AST]:
    """The module and each function, which are read one by one: a local name means something in one alone."""
    yield tree
    yield from (each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.Lambda))


def _calls(around: ast.AST) -> Iterator[ast.Call]:
    for each in ast.iter_child_nodes(around):
        yield from _calls_below(each)


def _calls_below(node: ast.AST) -> Iterator[ast.Call]:
    if isinstance(node, ast.FunctionDef | ast.Lambda):
        return
    if isinstance(node, ast.Call):
        yield node
    for each in ast.iter_child_nodes(node):
        yield from _calls_below(each)


def _texts_of(call: ast.Call) -> Iterator[tuple[str, ast.expr]]:
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in DRAWING:
        return
    name = call.func.attr
    if name in _AS_IT_IS or ast.unparse(call.func.value) == "logger":
        return
    parameters = DRAWING[name]
    named = [(keyword.arg or "**", keyword.value) for keyword in call.keywords]
    by_place = [(parameters[place] if place < len(parameters) else "*", each) for place, each in enumerate(call.args)]
    for parameter, argument in (*by_place, *named):
        if (name, parameter) in _UNDRAWN:
            continue
        if parameter in _TEXTS | _ADDRESSES or parameter.startswith("*"):
            yield name, argument


def is_safe(text: ast.expr, module: Module, around: ast.AST) -> bool:
    """Whether *text* is made of what is written in the code and of what has been cleaned."""

    def safe(part: ast.expr) -> bool:
        return is_safe(part, module, around)

    match text:
        case ast.Constant():
            return True
        case ast.JoinedStr(values=parts):
            return all(safe(part.value if isinstance(part, ast.FormattedValue) else part) for part in parts)
        case ast.IfExp(body=one, orelse=other):
            return safe(one) and safe(other)
        case ast.Dict(values=parts):
            return all(safe(part) for part in parts)
        case ast.Subscript(value=ast.Name(id=name)) if name in module.constants:
            return is_safe(module.constants[name], module, module.tree)
        case ast.Name(id=name):
            return _is_safe_name(name, module, around)
        case ast.Call(func=ast.Name(id="say"), keywords=values):  # a text of the page's own, with values in it
            return all(safe(value.value) for value in values)
        case ast.Call(func=ast.Name(id=name)) if name != "str":
            return name in _CLEANING | _CHECKING or _gives_safe_texts(name, module)
        case ast.Call(func=ast.Name(id="str"), args=[value]):
            return safe(value)
        case ast.Call(func=ast.Attribute(attr="with_name")):
            return ast.unparse(text).startswith("Path(__file__).with_name('")  # a file beside the code
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="get"), args=[_, *default]):
            return name in module.constants and all(map(safe, (module.constants[name], *default)))
    return False


def _is_safe_name(name: str, module: Module, around: ast.AST) -> bool:
    given = [
        each.value
        for each in ast.walk(around)
        if (isinstance(each, ast.Assign) and any(isinstance(to, ast.Name) and to.id == name for to in each.targets))
        or (isinstance(each, ast.NamedExpr) and each.target.id == name)
    ]
    if given and around is not module.tree:
        return all(is_safe(each, module, around) for each in given)
    home = module.imported.get(name, module)
    return name in home.constants and is_safe(home.constants[name], home, home.tree)


def _gives_safe_texts(name: str, module: Module) -> bool:
    home = module.imported.get(name, module)
    function = home.functions.get(name)
    if function is None:
        return False
    given = [each.value for each in ast.walk(function) if isinstance(each, ast.Return)]
    return bool(given) and all(each is not None and is_safe(each, home, function) for each in given)

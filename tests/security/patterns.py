"""Every regular expression of the product, found by a walk: those its modules hold, and those its code calls."""

import ast
import importlib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parents[2]
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_CALLS = frozenset({"compile", "search", "match", "fullmatch", "split", "findall", "finditer", "sub", "subn"})
_OTHER_ENGINES = frozenset({"regex", "re2", "sre_parse", "sre_compile"})
# They do something when they are imported: what they compile is found in their code alone.

_RUN_AT_IMPORT = frozenset(
    {"domain.migrations.env", "streamlit_app", "wsgi", "worker.celery", "worker.tasks", "gunicorn.conf"}
)


@dataclass(frozen=True)
class Found:
    """A pattern and where it stands."""

    where: str
    pattern: "re.Pattern[Any]"


@dataclass
class Walk:
    """What a walk finds: `patterns`, each once, and the places whose pattern is put together at run time."""

    patterns: list[Found]
    unknown: list[str]


def packages() -> list[str]:
    """The packages and modules of the product, as type checking knows them."""
    mypy = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]
    return sorted({*mypy["packages"], *mypy["modules"], "evaluation", "gunicorn.conf"} - {"benchmarks"})


def walk(package: str) -> Walk:
    """All patterns in a package."""
    found: dict[tuple[str | bytes, int], Found] = {}
    unknown: list[str] = []
    for name, path in _modules(package):
        module = None if name in _RUN_AT_IMPORT else importlib.import_module(name)
        for each in (*_compiled(name, module), *_called(name, path, module, unknown)):
            found.setdefault((each.pattern.pattern, each.pattern.flags), each)
    return Walk(list(found.values()), unknown)


def other_engines(package: str) -> list[str]:
    """Imports of other engines for regular expressions: the walk does not see what those compile."""
    return [
        f"{name}: {imported}"
        for name, path in _modules(package)
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for imported in _imported(node)
        if imported.partition(".")[0] in _OTHER_ENGINES or imported.startswith("re.")
    ]


def _modules(package: str) -> Iterator[tuple[str, Path]]:
    folder = ROOT / package
    files = sorted(folder.rglob("*.py")) if folder.is_dir() else [ROOT / f"{package}.py"]
    for path in files:
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _compiled(name: str, module: ModuleType | None) -> Iterator[Found]:
    """What is compiled at the level of the module and of its classes, also within lists and the like."""
    if module is None:
        return
    for holder in (module, *(each for each in vars(module).values() if _is_own_class(each, name))):
        for attribute, value in list(vars(holder).items()):
            for pattern in _within(value):
                yield Found(f"{name}.{attribute}", pattern)


def _is_own_class(value: object, name: str) -> bool:
    return isinstance(value, type) and value.__module__ == name


def _within(value: object) -> "Iterator[re.Pattern[Any]]":
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _within(each)
    elif isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from _within(each)


def _called(name: str, path: Path, module: ModuleType | None, unknown: list[str]) -> Iterator[Found]:
    """The patterns in calls of `re`; places where they are made of what is known at run time only are *unknown*."""
    names = {"re": re, **(vars(module) if module else {})}
    tree = _tree(path)
    in_functions = {id(inner) for each in ast.walk(tree) if isinstance(each, _FUNCTIONS) for inner in ast.walk(each)}
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and node.args and (call := _name_of_re(node.func)) in _CALLS):
            continue
        where = f"{name}:{node.lineno}"
        try:
            pattern, flags = _value(node.args[0], names), _flags(node, call, names)
        except NameError:
            if id(node) in in_functions:  # else a loop of the module, whose patterns `_compiled` sees
                unknown.append(f"{where}: {ast.unparse(node.args[0])}")
            continue
        yield Found(where, pattern if isinstance(pattern, re.Pattern) else re.compile(pattern, flags))


def _name_of_re(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and function.value.id == "re":
        return function.attr
    return ""


def _flags(node: ast.Call, call: str, names: Mapping[str, Any]) -> int:
    place = {"compile": 1, "split": 3, "sub": 4, "subn": 4}.get(call, 2)
    given = [keyword.value for keyword in node.keywords if keyword.arg == "flags"] or node.args[place : place + 1]
    return int(_value(given[0], names)) if given else 0


def _value(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """The value of an expression that the names of its module are enough for."""
    return eval(compile(ast.Expression(node), "pattern", "eval"), dict(names))  # noqa: S307 - code of our own


def _imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.ImportFrom):
        return [f"{node.module}.{each.name}" if node.module == "re" else node.module or "" for each in node.names]
    return [each.name for each in node.names]


if __name__ == "__main__":
    for package in packages():
        walked = walk(package)
        for each in walked.patterns:
            print(f"{each.where}: {each.pattern.pattern!r}")
        for where in walked.unknown:
            print(f"UNKNOWN {where}")

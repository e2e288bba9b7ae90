"""Visitors learn nothing of how the service is set up: no name of a setting, file, command or part of it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.api_errors import ApiError, ApiRefused
from clients.streamlit_chat.texts import LANGUAGES, read_texts
from clients.streamlit_chat.wording import explain_to_visitor
from config import Settings
from tests.security.drawn import PAGE, Module, modules
from utils.errors import ProblemError, describe_problem

HINT = (
    "REDIS_URL is wrong in /etc/pustaka.env: set it to redis://10.0.0.7, run `flask api-key`, and look at pustaka.db."
)
NAMES = re.compile(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b")
FILES = re.compile(r"\.(?:env|py|toml|conf|service|ya?ml|log|db|sqlite|key|sh)\b|/(?:etc|var|opt|app)/")
PARTS = re.compile(
    r"\b(?:streamlit|flask|docker|make|systemctl|pip|uvicorn|gunicorn|nginx|redis|valkey|qdrant|postgres\w*|sqlite|celery|"
    r"openai|environment variable|api key|secret)\b",
    re.I,
)


def kinds_of(kind: type[ProblemError]) -> Iterator[type[ProblemError]]:
    for each in kind.__subclasses__():
        yield each
        yield from kinds_of(each)


def assert_tells_nothing(text: str) -> None:
    settings = {name.upper() for name in Settings.model_fields}
    assert not NAMES.search(text), text
    assert not FILES.search(text), text
    assert not PARTS.search(text), text
    assert not settings & set(re.findall(r"\w+", text)), text


@pytest.mark.parametrize("kind", sorted({*kinds_of(ProblemError)}, key=lambda kind: kind.__name__))
def test_no_problem_of_the_service_is_told_to_visitors_as_it_is(kind: type[ProblemError]) -> None:
    error = ProblemError.__new__(kind)
    ProblemError.__init__(error, HINT, members=describe_problem(ProblemError(HINT)))
    for status in {kind.status, 500, 418}:
        told = explain_to_visitor(
            ApiRefused(status, {**describe_problem(error), "title": HINT, "detail": HINT, "status": status})
        )
        assert_tells_nothing(" ".join(told))
        assert all(told)


def test_what_is_no_problem_of_the_service_is_told_in_our_words() -> None:
    for failure in (ApiError(HINT, HINT), ApiRefused(500, {}), ApiRefused(429, {"detail": HINT})):
        assert_tells_nothing(" ".join(explain_to_visitor(failure)))


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.path.stem)
def test_the_page_reads_what_the_service_says_of_a_failure_in_one_place(module: Module) -> None:
    if module.path.stem != "wording":
        read = [each.attr for each in ast.walk(module.tree) if isinstance(each, ast.Attribute)]
        assert "detail" not in read


def sentences(path: Path) -> Iterator[str]:
    """What a module may show: all texts with a space in them, but for docstrings and what goes to the log."""
    tree = ast.parse(path.read_text("utf-8"))
    hidden: set[int] = set()
    for each in ast.walk(tree):
        if isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant):
            hidden.add(id(each.value))
        is_call = isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute)
        if is_call and ast.unparse(each.func.value) == "logger":  # type: ignore[attr-defined]
            hidden |= {id(part) for part in ast.walk(each)}
    for each in ast.walk(tree):
        text = each.value if isinstance(each, ast.Constant) and id(each) not in hidden else None
        if isinstance(text, str) and " " in text.strip():
            yield text


CODE = sorted({*PAGE.glob("*.py"), *PAGE.parent.glob("*.py")} - {PAGE / "settings.py"})


@pytest.mark.parametrize("path", CODE, ids=lambda path: path.stem)
def test_no_text_of_the_page_names_what_is_behind_it(path: Path) -> None:
    for text in sentences(path):
        assert_tells_nothing(text)


@pytest.mark.parametrize("path", sorted(PAGE.glob("*.js")), ids=lambda path: path.stem)
def test_no_text_of_the_pages_scripts_does(path: Path) -> None:
    code = re.sub(r"//.*", "", path.read_text("utf-8"))
    for text in re.findall(r"\"([^\"\n]+)\"|'([^'\n]+)'|`([^`]+)`", code):
        for part in text:
            if " " in part.strip():
                assert_tells_nothing(part)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_of_the_page_in_any_language_does(language: str) -> None:
    for text in read_texts(language).values():
        assert_tells_nothing(text)


def test_the_walk_finds_the_texts_of_the_page() -> None:
    found = [text for path in CODE for text in sentences(path)]
    assert any("The service cannot be reached." in text for text in found)
    with pytest.raises(AssertionError):
        assert_tells_nothing(HINT)

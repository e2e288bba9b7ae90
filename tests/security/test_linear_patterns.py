"""No regular expression of the product takes more than linear time, whatever text it is given."""

import re
from collections import deque
from collections.abc import Callable
from heapq import nlargest

import pytest

from tests.security.cost import cpu_s, slowness
from tests.security.hostile import Pattern, Shape, shapes
from tests.security.patterns import other_engines, packages, walk

pytestmark = pytest.mark.long

_TINY = 16  # characters, for which nothing but an exponential pattern takes a thousandth of a second
_SCREENED = 1024  # characters; a square shows there, and a thousand texts of it take a tenth of a second
_LOOKED_AT = 6  # shapes that take longest


@pytest.mark.parametrize("package", packages())
def test_every_pattern_takes_linear_time_and_under_50_ms_for_64_kb(package: str) -> None:
    slow = [f"{each.where}: {why}" for each in walk(package).patterns if (why := _slowness(each.pattern))]
    assert not slow, "\n".join(slow)


@pytest.mark.parametrize("package", packages())
def test_every_pattern_is_known_before_the_program_runs(package: str) -> None:
    unknown = walk(package).unknown
    assert not unknown, "Compile it at the level of the module, of what is written there:\n" + "\n".join(unknown)
    assert not other_engines(package), "The walk sees only what `re` compiles, called as `re.…`."


@pytest.mark.parametrize(
    "pattern",
    [
        r"\s*\|",
        r"[.!?]+(?=\s)",
        r"<(?=\s*/?\s*passage)",
        r"(?:\w+\s?)+;",  # exponential
        r'<p n="(\d+)">.*?</p>',
        r"(?m)^\W*\d+ yes",
        r"\d+(?:st|nd)",
    ],
)
def test_a_careless_pattern_is_noticed(pattern: str) -> None:
    assert _slowness(re.compile(pattern, re.DOTALL))


@pytest.mark.parametrize("pattern", [r"(?<!\s)\s*+\|", r"\w+", r"[^\"]*", r"(?<![.!?])[.!?]++(?=\s)"])
def test_a_careful_pattern_is_let_pass(pattern: str) -> None:
    assert not _slowness(re.compile(pattern))


def _slowness(pattern: Pattern) -> str:
    """Which text *pattern* takes too long for, and how long; "" for none."""
    costs: list[tuple[float, int, Shape]] = []
    for number, shape in enumerate(shapes(pattern)):
        if cpu_s(_applied(pattern, shape, _TINY)) > 1e-3 and (took := cpu_s(_applied(pattern, shape, _TINY), 3)) > 1e-3:
            return f"{1e3 * took:.0f} ms for {_TINY} characters: {shape.text(_TINY)!r}"
        cost = cpu_s(_applied(pattern, shape, _SCREENED))
        costs.append((cost, number, shape))
        if cost > 0.02 and (why := _why(pattern, shape)):  # no need to wait for worse
            return why
    return next(filter(None, (_why(pattern, shape) for _, _, shape in nlargest(_LOOKED_AT, costs))), "")


def _why(pattern: Pattern, shape: Shape) -> str:
    why = slowness(lambda size: _applied(pattern, shape, size))
    return why and f"{why}: {shape.text(30)!r}"


def _applied(pattern: Pattern, shape: Shape, size: int) -> Callable[[], None]:
    """Looking for all that matches, and whether the whole text does."""
    text = shape.text(size)
    subject = text if isinstance(pattern.pattern, str) else text.encode("utf-8", "replace")

    def apply() -> None:
        deque(pattern.finditer(subject), maxlen=0)
        pattern.fullmatch(subject)

    return apply

"""JSON of callers: what it may hold, and that no body costs more than it is long."""

import ast
import json
import tracemalloc
from pathlib import Path

import pytest

from tests.security.cost import cpu_s
from utils.errors import BadInput
from utils.strict_json import DEEPEST_JSON, MAX_VALUES, read_json

TEXT = 'Fees, [in "Euro"], {per \\ term},\n' * 100_000
LARGE = 5_000_000


def names(number: int) -> str:
    return ",".join(f'"{n:x}":0' for n in range(number))


@pytest.mark.parametrize(
    "value", [{}, 0, -0.5, 1e308, "", None, {"a": {"a": [1, {"b": 2}]}}, {"content": TEXT}, [0] * (MAX_VALUES - 1)]
)
def test_what_json_can_say_is_read(value: object) -> None:
    assert read_json(json.dumps(value).encode()) == value
    assert read_json(json.dumps(value, ensure_ascii=False).encode("utf-8-sig")) == value


@pytest.mark.parametrize(
    "data",
    [
        b"NaN",
        b"[-Infinity]",
        b'{"a": 1e999}',
        b"[-1e999]",
        b'{"a": 1, "b": {}, "a": 1}',
        b'[{"a": 1, "\\u0061": 2}]',
        b"{'a': 1}",
        b'{"a": 1,}',
        b'{"a": "\xff"}',
        b'"\xed\xa0\x80"',
        '{"a": 1}'.encode("utf-16"),
        b"1" * 5_000,
    ],
)
def test_what_is_no_json_or_says_two_things_is_not(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_json(data)


@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize("digits", [309, 5_000, 1_000_000])
def test_a_whole_number_that_is_too_large_is_told_in_plain_words(digits: int, sign: str) -> None:
    with pytest.raises(ValueError, match=r"^the number -?1{19,20}… of [\d,]+ digits is too large$"):
        read_json(f'{{"a": {sign}{"1" * digits}}}'.encode())
    assert read_json(b"1" * 308) == int("1" * 308)


@pytest.mark.parametrize(
    "text",
    [
        "[" * DEEPEST_JSON + "{}" + "]" * DEEPEST_JSON,
        "[" * LARGE,
        '{"a":' * LARGE,
        f"{{{names(MAX_VALUES)}}}",
        f'{{"a": {{"b": [{",".join("0" * MAX_VALUES)}]}}}}',
        f'{{{names(200_000)},"0":1}}',
        "[" + "[]," * LARGE + "[]]",
        '["",' * LARGE,
    ],
    ids=str.__len__,
)
def test_too_much_is_refused_before_anything_is_made_of_it(text: str) -> None:
    data = text.encode()
    tracemalloc.start()
    try:
        with pytest.raises(BadInput, match=r"nested too deeply or has too many values"):
            read_json(data)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "text",
    [
        f'{{{names(MAX_VALUES - 100)},"{MAX_VALUES - 101:x}":1}}',
        '{"a":"' + '\\",' * (LARGE // 3),
        '"' * LARGE,
        '"\\' * LARGE,
    ],
    ids=str.__len__,
)
def test_what_is_no_json_is_noticed_in_linear_time(text: str) -> None:
    data = text.encode()

    def refuse() -> None:
        with pytest.raises(ValueError, match=r"."):
            read_json(data)

    assert cpu_s(refuse) < 1.0


def test_the_api_reads_json_with_this_reader_alone() -> None:
    own = {
        "repeats.py",
        "reloading.py",
        "blueprint.py",
        "widget.py",
        "shared_page.py",
    }  # what the service has written itself
    found = {
        path.name
        for path in [*Path("api").rglob("*.py"), *Path("server").rglob("*.py")]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr in ("loads", "get_json", "model_validate_json", "validate_json")
    }
    assert found == own

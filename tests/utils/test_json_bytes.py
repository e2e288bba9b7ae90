"""What orjson refuses is JSON all the same."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from utils.json_bytes import dump_json


@dataclass(frozen=True)
class Turn:
    question: str
    details: dict[str, Any]


@pytest.mark.parametrize("text", ["plain", "half \ud800 a pair"])
def test_a_dataclass_is_an_object_whatever_its_texts_hold(text: str) -> None:
    turn = Turn(text, {"inner": [Turn(text, {})]})
    assert json.loads(dump_json(turn)) == {
        "question": text,
        "details": {"inner": [{"question": text, "details": {}}]},
    }


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(TypeError):
        dump_json(object())

"""JSON as the service writes it: for a reader the same as Flask's own."""

import dataclasses
import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

import pytest
from flask import Flask, Response, jsonify
from markupsafe import Markup

from api.json_provider import OrjsonProvider


class Colour(StrEnum):
    RED = "red"


@dataclasses.dataclass
class Point:
    y: int = 1
    x: str = "é"


VALUES: list[Any] = [
    {"b": [1, 2.5, 1e16, -0.0, None, True], "a": {"é": "ü", "z": "\U0001f600", "￿": "\x00\x1f\u2028"}},
    (1, "two"),
    Point(),
    Colour.RED,
    date(2020, 1, 2),
    UUID(int=7),
    Decimal("1.50"),
    Markup("<b>"),
    2**70,
    {1: 2},
    "half a pair: \ud800",
    [[]] * 3,
]


def make_app() -> Flask:
    app = Flask("json")
    app.json = OrjsonProvider(app)
    return app


def written(app: Flask, value: Any) -> Response:
    with app.app_context():
        return jsonify(value)


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_reads_as_flask_would_have_written_it(value: Any) -> None:
    ours, flasks = written(make_app(), value), written(Flask("plain"), value)
    assert json.loads(ours.data) == json.loads(flasks.data)
    assert (ours.mimetype, ours.data[-1:]) == (flasks.mimetype, flasks.data[-1:])


def test_keys_are_in_order_and_text_is_not_escaped() -> None:
    assert written(make_app(), {"b": "é", "a": 1}).data == '{"a":1,"b":"é"}\n'.encode()


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(TypeError, match="object is not JSON serializable"):
        written(make_app(), object())


def test_debug_mode_is_written_for_people() -> None:
    app = make_app()
    app.debug = True
    assert written(app, {"a": 1}).data == b'{\n  "a": 1\n}\n'


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2020, 1, 2, 3, 4, 5, 6789, tzinfo=UTC), "2020-01-02T03:04:05.006Z"),
        (datetime(2020, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=7))), "2020-01-01T20:04:05.000Z"),
    ],
)
def test_a_moment_is_rfc_3339_in_utc_with_milliseconds(moment: datetime, text: str) -> None:
    for value in ({"at": moment}, {"at": moment, "beyond orjson": 2**70}):
        assert json.loads(written(make_app(), value).data)["at"] == text

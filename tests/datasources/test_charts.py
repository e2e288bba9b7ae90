"""Charts of results: chosen by what these hold, valid Vega-Lite, and without anything but their figures."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

import altair
import pytest
from jsonschema import Draft7Validator
from pydantic import ValidationError

from datasources.charts.choosing import choose_chart
from datasources.charts.columns import read_columns
from datasources.charts.grammar import AGGREGATES, MARKS, Chart, ChartRefused
from datasources.charts.spec import make_spec
from datasources.charts.values import MAX_BARS, MAX_POINTS
from datasources.charts.words import read_chart_words
from datasources.results import Result

STATUS = (("Active", 42), ("Maintenance", 12), ("Stopped", 6))
MONTHS = (("2026-09-01", 3), ("2026-10-01", 5), ("2026-11-01", 4))
PLACES = (("2026-09", "North", 3), ("2026-09", "South", 1), ("2026-10", "North", 2), ("2026-10", "South", 5))


@cache
def validator() -> Draft7Validator:
    """Of Vega-Lite's own schema, as Altair brings it."""
    schema = Path(altair.__file__).parent / "vegalite" / "v6" / "schema" / "vega-lite-schema.json"
    return Draft7Validator(json.loads(schema.read_text(encoding="utf-8")))


def make_result(names: str, rows: Any) -> Result:
    return Result("", tuple(names.split(",")), tuple(map(tuple, rows)), False)


def check(chart: Chart, result: Result) -> dict[str, Any]:
    """The spec of *chart*, which is valid, and names only fields of its data."""
    spec = make_spec(chart, result).spec
    assert [error.message for error in validator().iter_errors(spec)] == []
    fields = [channel["field"] for channel in spec["encoding"].values() if "field" in channel]
    assert all(set(fields) <= set(row) for row in spec["data"]["values"])
    assert set(spec["data"]) == {"values"}
    assert (spec["width"] <= 2_000, spec["height"] <= 2_000) == (True, True)
    return spec


@pytest.mark.parametrize(
    ("names", "rows", "asked", "chosen"),
    [
        ("status,n", STATUS, None, ("bar", "status", "n", None)),
        ("status,share", (("a", 0.4), ("b", 0.6)), None, ("bar", "status", "share", None)),
        ("month,n", MONTHS, None, ("line", "month", "n", None)),
        ("month,n", MONTHS, "bar", ("bar", "month", "n", None)),
        ("n,year", ((3, 2024), (4, 2025)), None, ("line", "year", "n", None)),
        ("hours,cost", ((1, 2.5), (2, 3.5)), None, ("point", "hours", "cost", None)),
        ("name,hours,cost", (("a", 1, 2), ("b", 2, 3)), "point", ("point", "hours", "cost", "name")),
        ("month,place,n", PLACES, None, ("line", "month", "n", "place")),
        ("place,month,n", [(b, a, c) for a, b, c in PLACES], None, ("line", "month", "n", "place")),
        ("place,kind,n", (("N", "a", 1), ("N", "b", 2), ("S", "a", 3)), None, ("bar", "place", "n", "kind")),
        ("place,kind,n", (("N", "a", 1), ("N", "b", 2), ("S", "a", 3)), "rect", ("rect", "place", "kind", "n")),
        ("place,n", (("N", 1), ("N", 2), ("S", 3)), None, ("point", "place", "n", None)),
        ("place,n", (("N", None), ("S", 3)), None, ("bar", "place", "n", None)),
    ],
)
def test_the_chart_follows_from_what_the_result_holds(
    names: str, rows: Any, asked: Any, chosen: tuple[str, str, str, str | None]
) -> None:
    result = make_result(names, rows)
    chart = choose_chart(result, mark=asked, title="Title")
    assert (chart.mark, chart.x, chart.y, chart.colour) == chosen
    check(chart, result)


@pytest.mark.parametrize(
    ("names", "rows"), [("n", ((15,),)), ("name", (("a",), ("b",))), ("name,n", ()), ("name,n", (("a", 1),))]
)
def test_what_cannot_be_drawn_is_refused_with_a_reason(names: str, rows: Any) -> None:
    with pytest.raises(ChartRefused, match="Ask for"):
        choose_chart(make_result(names, rows))


def test_every_sentence_of_the_grammar_is_valid_vega_lite_or_refused() -> None:
    result = make_result("place,month,n,m", [(b, a, c, c * 2) for a, b, c in PLACES])
    places = (("place", "n", None), ("month", "n", "place"), ("n", "m", None), ("month", "place", "n"))
    drawn = 0
    for mark in MARKS:
        for aggregate in AGGREGATES:
            for x, y, colour in places:
                try:
                    check(Chart(mark=mark, x=x, y=y, colour=colour, aggregate=aggregate), result)
                    drawn += 1
                except ChartRefused:
                    assert (y == "place") != (mark == "rect")
    assert drawn > 80
    with pytest.raises(ChartRefused, match=r"no column 'secret'\. It has: place, month"):
        make_spec(Chart(mark="bar", x="secret", y="n"), result)
    for wrong in ({"mark": "image"}, {"mark": "geoshape"}, {"aggregate": "exec"}, {"url": "x"}, {"x": ""}):
        with pytest.raises(ValidationError):
            Chart(**{"mark": "bar", "x": "place", "y": "n", **wrong})


def test_names_and_cells_stay_texts_and_large_results_small_charts() -> None:
    hostile = "datum.x['a']; url=http://127.0.0.1/"
    result = make_result(f"{hostile},a.b[0]", [(f"{hostile}{number}" + "x" * 500, number) for number in range(3_000)])
    spec = check(choose_chart(result, title="t" * 200), result)
    assert {name for row in spec["data"]["values"] for name in row} == {"x", "y"}
    assert len(spec["data"]["values"]) == MAX_BARS
    assert spec["description"].endswith("and 2990 more.")
    counted = check(Chart(mark="bar", x=hostile, y="a.b[0]", aggregate="sum"), result)
    assert len(counted["data"]["values"]) == MAX_BARS
    many = make_result("a,b", [(number, number / 7) for number in range(3_000)])
    assert len(check(choose_chart(many), many)["data"]["values"]) == MAX_POINTS
    assert len(json.dumps(spec)) < 20_000


def test_what_is_computed_is_computed_of_all_rows_and_never_of_some() -> None:
    kinds = [("ab"[number % 2], number % 3, None if number == 7 else number) for number in range(900)]
    result = make_result("kind,group,n", kinds)
    known = [[n for kind, _, n in kinds if n is not None and kind == each] for each in "ab"]
    told = {"sum": sum, "mean": fmean, "min": min, "max": max, "count": len}
    for aggregate in (each for each in AGGREGATES if each != "none"):
        chart = Chart(mark="bar", x="kind", y="n", aggregate=aggregate)
        values = check(chart, result)["data"]["values"]
        assert values == [{"x": each, "y": told[aggregate](n)} for each, n in zip("ab", known, strict=True)]
        with pytest.raises(ChartRefused, match=r"Only a part of the rows is known.*the query computes it"):
            make_spec(chart, replace(result, truncated=True))
    rect = Chart(mark="rect", x="kind", y="group", colour="n", aggregate="count")
    assert len(check(rect, make_result("kind,group,n", [("a", str(g), n) for _, g, n in kinds]))["data"]["values"]) == 3
    # Names that are alike where they are cut are two places.
    long = make_result("name,n", [("x" * 100 + each, 1) for each in "aabb"])
    rows = check(Chart(mark="bar", x="name", y="n", aggregate="sum"), long)["data"]["values"]
    assert rows == [{"x": "x" * 59 + "…", "y": 2}, {"x": "x" * 59 + "… (2)", "y": 2}]


def test_a_chart_that_does_not_show_all_says_so_in_three_languages() -> None:
    many = make_result("a,b", [(number, number / 7) for number in range(1_200)])
    chart = Chart(mark="point", x="a", y="b", title="All")
    for language, told in (
        ("en", "The first 500 of 1,200 values are shown."),
        ("es", "Se muestran los primeros 500 de 1200 valores."),
        ("id", "Ditampilkan 500 nilai pertama dari 1.200."),
    ):
        title = make_spec(chart, many, language).spec["title"]
        assert (title["text"], title["subtitle"]) == ("All", told)
    cut = make_spec(chart, replace(many, rows=many.rows[:30], truncated=True), "en").spec["title"]
    assert cut["subtitle"] == "The first 30 of 30 or more values are shown."
    assert "subtitle" not in check(chart, replace(many, rows=many.rows[:500]))["title"]
    assert check(chart.model_copy(update={"title": ""}), many)["title"]["text"].startswith("The first 500")


def test_names_do_no_harm_and_are_told_apart() -> None:
    result = make_result("n,n", ((1, 2), (3, 4)))
    chart = choose_chart(result, title="a\u202eb\x1b\u2066c\nd")
    spec = check(chart, result)
    assert (chart.x, chart.y) == ("n (1)", "n (2)")
    assert spec["data"]["values"] == [{"x": 1, "y": 2}, {"x": 3, "y": 4}]
    assert spec["title"]["text"] == "abc d"
    with pytest.raises(ChartRefused, match=r"no column 'n'\. It has: n \(1\), n \(2\)"):
        make_spec(Chart(mark="point", x="n", y="n"), result)
    names = ("__proto__", "“__proto__”", "constructor", "a\u202eb")
    rows = check(Chart(mark="bar", x="toString", y="n"), make_result("toString,n", [(each, 1) for each in names]))
    assert [each["x"] for each in rows["data"]["values"]] == ["“__proto__”", "“__proto__” (2)", "“constructor”", "ab"]
    assert {each["title"] for each in rows["encoding"].values()} == {"“toString”", "n"}
    alike = make_result("n,n,n (1)", ((1, 2, 3),))
    assert [each.name for each in read_columns(alike)] == ["n (2)", "n (3)", "n (1)"]
    long = make_result(f"{'n' * 300},", ((1, 2), (3, 4)))
    assert check(choose_chart(long), long)["encoding"]["y"]["title"] == "?"


def test_a_figure_that_no_axis_has_room_for_is_refused() -> None:
    result = make_result("a,n", (("a", 1.7e308), ("b", -1.7e308)))
    with pytest.raises(ChartRefused, match="too large") as refused:
        make_spec(choose_chart(result), result)
    assert refused.value.reason == "large figure"


@pytest.mark.parametrize(
    ("question", "rest", "mark"),
    [
        ("How many machines for each status as a bar chart?", "How many machines for each status?", "bar"),
        ("Draw a line chart of the number of jobs for each day", "the number of jobs for each day", "line"),
        ("Show that as a pie chart, please", "", "bar"),
        ("¿Cuántas máquinas hay para cada estado en un gráfico de barras?",
         "¿Cuántas máquinas hay para cada estado?", "bar"),
        ("en un gráfico de líneas", "", "line"),
        ("Berapa jumlah mesin untuk setiap status dalam grafik batang?",
         "Berapa jumlah mesin untuk setiap status?", "bar"),
        ("sebagai grafik garis", "", "line"),
        ("Gambarkan grafik jumlah mesin untuk setiap status", "jumlah mesin untuk setiap status", None),
    ],
)  # fmt: skip
def test_the_words_for_a_chart_are_told_from_the_question(question: str, rest: str, mark: str | None) -> None:
    words = read_chart_words(question)
    assert words is not None
    assert (words.question, words.mark) == (rest, mark)
    assert read_chart_words("How many machines are there in the bar?") is None


def test_the_alternative_text_says_what_is_to_be_seen() -> None:
    result = make_result("status,n", STATUS)
    chart = choose_chart(result)
    told = {language: make_spec(chart, result, language).alt for language in ("en", "es", "id", "de")}
    assert told["en"] == "Bar chart: n / status. Active: 42; Maintenance: 12; Stopped: 6."
    assert told["es"].startswith("Gráfico de barras: ")
    assert told["id"].startswith("Grafik batang: ")
    assert told["de"] == told["en"]


def test_times_are_drawn_as_they_are_written_and_counts_without_halves() -> None:
    cells = (None, "2026-11-25 07:30:00", "2026-11-25T08:00", "2026-11-25 09:00:00+07:00", "2026-11-25")
    result = make_result("at,n", [(cell, number) for number, cell in enumerate(cells)])
    spec = check(choose_chart(result), result)
    told = [row["x"] for row in spec["data"]["values"]]
    assert told == ["2026-11-25T07:30:00Z", "2026-11-25T08:00Z", "2026-11-25T09:00:00+07:00", "2026-11-25"]
    assert spec["encoding"]["x"]["scale"] == {"type": "utc"}
    assert spec["encoding"]["y"]["axis"] == {"tickMinStep": 1}
    halves = make_result("status,share", (("a", 0.5), ("b", 1)))
    assert "axis" not in check(choose_chart(halves), halves)["encoding"]["y"]

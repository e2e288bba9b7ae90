"""Questions in words to SQL by rules: what is understood is asked, and of the rest the word is named."""

import sqlite3
from datetime import date

import pytest

from datasources.access import TableAccess
from datasources.catalog import list_open_tables
from datasources.questions.planning import plan_question, suggest_questions
from datasources.questions.reading import QuestionRefused
from datasources.questions.values import add_stored_values
from datasources.questions.vocabulary import Vocabulary, make_vocabulary
from datasources.results import QueryLimits
from datasources.schema import SchemaLimits
from datasources.sqlite import SqliteSource
from datasources.stopping import Stop

Asked = tuple[SqliteSource, dict[tuple[str, str], TableAccess], Vocabulary]
TODAY = date(2026, 11, 25)
TABLES = """
CREATE TABLE plant (plant_id INTEGER PRIMARY KEY, name TEXT, region TEXT);
CREATE TABLE equipment (
  id INTEGER PRIMARY KEY, name TEXT, type TEXT, status TEXT, hours INTEGER, next_maintenance TEXT,
  plant_id INTEGER REFERENCES plant (plant_id));
INSERT INTO plant VALUES (1, 'Bandung', 'west'), (2, 'Medan', 'east'), (3, 'Hidden Place', 'south');
INSERT INTO equipment VALUES
  (1, 'Pump A1', 'Pump', 'Active', 100, '2026-11-02', 1), (2, 'Motor B2', 'Motor', 'Stopped', 300, '2026-11-30', 1),
  (3, 'Valve C3', 'Valve', 'Active', 50, '2026-12-01', 2), (4, 'Pump D4', 'Pump', 'Active', 200, '2025-11-20', 2);
"""
SAID = {
    "plant": {"description": "", "synonyms": ["planta", "pabrik"], "allowed_columns": {}},
    "equipment": {
        "description": "",
        "synonyms": ["machine", "mesin", "máquina"],
        "allowed_columns": {"next_maintenance": {"synonyms": ["due", "due for maintenance", "jatuh tempo"]}},
    },
}


@pytest.fixture(scope="module")
def asked(
    tmp_path_factory: pytest.TempPathFactory,
) -> Asked:
    file = tmp_path_factory.mktemp("plant") / "plant.db"
    connection = sqlite3.connect(file)
    connection.executescript(TABLES)
    connection.close()
    source = SqliteSource(file)
    schema = source.read_schema(SchemaLimits(), Stop())
    access = {table.name: TableAccess(tuple(each.name for each in table.columns)) for table in schema.tables}
    access["main", "plant"] = TableAccess(("plant_id", "name", "region"), "region <> {user.hidden}")
    nothing = {"synonyms": []}
    said = {
        table.name[1]: {
            **SAID[table.name[1]],
            "allowed_columns": {each.name: nothing for each in table.columns} | SAID[table.name[1]]["allowed_columns"],
        }
        for table in schema.tables
    }
    vocabulary = make_vocabulary(list_open_tables(schema, said, access, "sqlite"))
    add_stored_values(vocabulary, source, access, {"hidden": "south"}, Stop())
    return source, access, vocabulary


@pytest.mark.parametrize(
    ("question", "rows", "understood"),
    [
        ("How many machines are due for maintenance this month?", ((2,),),
         "number of equipment where next_maintenance from 2026-11-01 and next_maintenance < 2026-12-01"),
        ("Berapa banyak mesin jatuh tempo bulan ini?", ((2,),), None),
        ("¿Cuántas máquinas hay en Bandung?", ((2,),), "number of equipment where name = Bandung"),
        ("How many pumps are active?", None, None),
        ("How many machines have the status Active?", ((3,),), "number of equipment where status = Active"),
        ("How many machines for each status?", (("Active", 3), ("Stopped", 1)), None),
        ("How many machines for each plant?", (("Bandung", 2), ("Medan", 2)), None),
        ("What is the average hours of the machines in Medan?", ((125.0,),),
         "average hours of equipment where name = Medan"),
        ("Which machine has the most hours?", (("Motor B2",),), None),
        ("Which machines have more than 150 hours?", (("Motor B2",), ("Pump D4",)), None),
        ("What is the status of Motor B2?", (("Stopped",),), None),
        ("How many machines in 2025 with next maintenance?", ((1,),), None),
        ("total hours of machines", ((650,),), None),
        ("top 2 machines by most hours", None, None),
    ],
)  # fmt: skip
def test_a_question_becomes_a_query_with_all_its_words(
    asked: Asked,
    question: str,
    rows: tuple[tuple[object, ...], ...] | None,
    understood: str | None,
) -> None:
    source, access, vocabulary = asked
    if rows is None:
        with pytest.raises(QuestionRefused):
            plan_question(question, vocabulary, TODAY)
        return
    draft = plan_question(question, vocabulary, TODAY)
    found = source.run(draft.write_sql(), access, {"hidden": "south"}, QueryLimits(), Stop()).rows
    assert tuple(sorted(found, key=str)) == rows
    assert understood in (None, draft.describe())


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ("How many machines are purple?", "'purple'"),
        ("How many machines are not active?", "'not'"),
        ("How many machines are in Hidden Place?", "'hidden'"),  # nor does a filtered row tell that it is there
        ("What is the status?", "which rows|which table"),
        ("How many?", "which table"),
        ("hours of the name of the status of machines", "something of something"),
        ("Average status of machines", "which number"),
        ("How many machines in 2025?", ""),
        ("'; DROP TABLE equipment; --", "'drop'"),
        ("how " * 61, "60 words"),
        ("?", "1 to 60"),
    ],
)
def test_a_question_that_is_not_understood_is_refused_and_the_word_named(
    asked: Asked, question: str, told: str
) -> None:
    if question == "How many machines in 2025?":
        assert plan_question(question, asked[2], TODAY).filters[0].values == ("2025-01-01",)  # its only date
        return
    with pytest.raises(QuestionRefused, match=told):
        plan_question(question, asked[2], TODAY)


def test_the_questions_that_are_proposed_are_understood(
    asked: Asked,
) -> None:
    source, access, vocabulary = asked
    proposed = suggest_questions(vocabulary, TODAY)
    assert len(proposed) == 3
    for question in proposed:
        sql = plan_question(question, vocabulary, TODAY).write_sql()
        assert source.run(sql, access, {"hidden": "south"}, QueryLimits(), Stop()).rows

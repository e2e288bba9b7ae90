"""Questions in words to SQL by rules: what is understood is asked, and of the rest the word is named."""

import pytest

from datasources.answers.describing import describe_draft
from datasources.charts.words import read_chart_words
from datasources.questions.planning import plan_followup, plan_question
from datasources.questions.refusals import QuestionRefused
from datasources.questions.suggestions import Suggestion, suggest_questions
from datasources.results import QueryLimits
from datasources.stopping import Stop
from tests.datasources.plant import TODAY, OpenPlant, open_plant


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> OpenPlant:
    return open_plant(tmp_path_factory.mktemp("plant") / "plant.db")


@pytest.mark.parametrize(
    ("question", "rows", "understood"),
    [
        ("How many machines are due for maintenance this month?", ((2,),),
         "number of equipment where next maintenance is from 1 November 2026 to 30 November 2026"),
        ("Berapa banyak mesin jatuh tempo bulan ini?", ((2,),), None),
        ("¿Cuántas máquinas hay en Bandung?", ((2,),), "number of equipment where name of plant is Bandung"),
        ("How many pumps are active?", ((2,),), "number of equipment where type is Pump and status is Active"),
        ("How many pumps are due this month?", ((1,),), None),
        ("How many pumps for each status?", (("Active", 2),), None),
        ("How many in Bandung?", None, None),  # a name is no kind
        ("How many machines have the status Active?", ((3,),), "number of equipment where status is Active"),
        ("How many machines are active and stopped?", ((4,),),
         "number of equipment where status is Active or Stopped"),
        ("What is the status of Motor B2 and Valve C3?", (("Motor B2", "Stopped"), ("Valve C3", "Active")), None),
        ("How many machines in Bandung and Medan?", None, None),  # one link, or two
        ("¿Cuántas máquinas active y stopped hay?", ((4,),), None),
        ("How many motor pumps are there?", None, None),
        ("How many machines for each status?", (("Active", 3), ("Stopped", 1)), None),
        ("How many machines for each plant?", (("Bandung", 2), ("Medan", 2)), None),
        ("What is the average hours of the machines in Medan?", ((125.0,),),
         "average hours of equipment where name of plant is Medan"),
        ("Which machine has the most hours?", (("Motor B2",),), None),
        ("Which machines have more than 150 hours?", (("Motor B2",), ("Pump D4",)), None),
        ("What is the status of Motor B2?", (("Stopped",),), None),
        ("How many machines in 2025 with next maintenance?", ((1,),), None),
        ("How many machines in 2025?", ((1,),), None),  # of their only date
        ("maximum next maintenance of machines", (("2026-12-01",),), None),
        ("total hours of machines", ((650,),), None),
        ("top 2 machines by most hours", (("Motor B2",), ("Pump D4",)), None),
        ("Top 2 machines by hours", (("Motor B2",), ("Pump D4",)), None),
        ("las 2 máquinas con más horas", (("Motor B2",), ("Pump D4",)), None),
        ("2 mesin dengan jam terbanyak", (("Motor B2",), ("Pump D4",)), None),
        ("machines by status", (("Active", 3), ("Stopped", 1)), None),
        ("¿Cuántas máquinas hay por estado?", (("Active", 3), ("Stopped", 1)), None),
        ("mesin per status", (("Active", 3), ("Stopped", 1)), None),
        ("How many machines are due per month?", (("2025-11", 1), ("2026-11", 2), ("2026-12", 1)), None),
        ("¿Cuántas máquinas necesitan mantenimiento por año?", (("2025", 1), ("2026", 3)), None),
        ("promedio de horas por estado", (("Active", 116.66666666666667), ("Stopped", 300.0)), None),
        ("rata-rata jam mesin", ((162.5,),), None),
        ("How many machines are due next month?", ((1,),),
         "number of equipment where next maintenance is from 1 December 2026 to 31 December 2026"),
        ("¿Cuántas máquinas necesitan mantenimiento el próximo mes?", ((1,),), None),
        ("Berapa mesin perlu perawatan bulan depan?", ((1,),), None),
        ("How many machines are due next week?", ((2,),),
         "number of equipment where next maintenance is from 30 November 2026 to 6 December 2026"),
        ("How many machines were due in November 2025?", ((1,),), None),
        ("Berapa mesin jatuh tempo pada bulan Desember 2026?", ((1,),), None),
        ("¿Cuántas máquinas necesitan mantenimiento en diciembre?", ((1,),), None),
        ("How many machines were due last year?", ((1,),), None),
        ("¿Qué máquinas tienen más de 150 horas?", (("Motor B2",), ("Pump D4",)), None),
        ("mesin dengan jam lebih dari 150", (("Motor B2",), ("Pump D4",)), None),
        ("Which machines have over 99.5 hours?", (("Motor B2",), ("Pump A1",), ("Pump D4",)), None),
        ("mesin dengan jam di atas 199,5", (("Motor B2",), ("Pump D4",)), None),
        ("máquinas con menos de 1.000 horas y más de 150,5", None, None),  # of one column two comparisons
        ("¿Qué máquinas tienen menos de 100,5 horas?", (("Pump A1",), ("Valve C3",)), None),
        ("máquinas con al menos 200 horas", (("Motor B2",), ("Pump D4",)),
         "name of equipment where hours is at least 200"),
        ("Which machines have under 1,000 hours?", (("Motor B2",), ("Pump A1",), ("Pump D4",), ("Valve C3",)), None),
        ("máquinas con más de 1.000 horas", (), "name of equipment where hours is more than 1,000"),
        ("máquinas con más de 1,000 horas", None, None),  # 1, or a thousand
        ("Which status has the most?", (("Active",),), "status with the largest number of equipment"),
        ("Which status has the fewest machines?", (("Stopped",),), None),
        ("¿Qué estado tiene más máquinas?", (("Active",),), None),
        ("Status mana yang paling banyak mesinnya?", (("Active",),), None),
        ("Which type has the fewest machines?", (("Motor",), ("Valve",)), None),  # both
        ("¿Cuántas bombas hay?", ((2,),), "number of equipment where type is Pump"),
        ("¿Cuántos motores hay?", ((1,),), None),
        ("Ada berapa pompa?", ((2,),), None),
        ("¿Cuántas bombas están paradas?", ((0,),), None),
        ("Mesin mana yang jamnya paling tinggi?", (("Motor B2",),), None),
        ("Berapa mesin-mesin yang statusnya Active?", ((3,),), None),
        ("machines with hours 300", (("Motor B2",),), None),
        ("How many machines are there and what is its status?", None, None),
        ("pumps with their hours", (("Pump A1", 100), ("Pump D4", 200)), None),
        ("¿Cuántas horas tiene Pump A1?", ((100,),), None),
        ("status, hours and type of the pumps", (("Active", 100, "Pump"), ("Active", 200, "Pump")),
         "status, hours, type of equipment where type is Pump"),
    ],
)  # fmt: skip
def test_a_question_becomes_a_query_with_all_its_words(
    asked: OpenPlant,
    question: str,
    rows: tuple[tuple[object, ...], ...] | None,
    understood: str | None,
) -> None:
    source, access, _, vocabulary = asked
    if rows is None:
        with pytest.raises(QuestionRefused):
            plan_question(question, vocabulary, TODAY)
        return
    draft = plan_question(question, vocabulary, TODAY)
    found = source.run(draft.write_sql(), access, {"hidden": "south"}, QueryLimits(), Stop()).rows
    assert tuple(sorted(found, key=str)) == rows
    assert understood in (None, describe_draft(draft, "en"))


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ("How many machines are purple?", "'purple'"),
        ("How many machines are not active?", "'not'"),
        ("How many machines are in Hidden Place?", "'hidden'"),  # nor does a filtered row tell that it is there
        ("What is the status?", "which rows|which table"),
        ("How many?", "which table"),
        ("What is its average hours?", "'its'"),
        ("What are their total hours?", "'their'"),
        ("How many machines does it have?", "'it'"),
        ("How many machines are in them?", "'them'"),
        ("How many of these machines are active?", "'these'"),
        ("¿Cuál es su promedio de horas?", "'su'"),
        ("¿Cuántas máquinas tiene?", "'tiene'"),
        ("Berapa rata-rata jamnya?", "'jamnya'"),
        ("Berapa banyak mesinnya?", "'mesinnya'"),
        ("Berapa rata-rata jam mesin itu?", "'itu'"),
        ("hours of the name of the status of machines", "something of something"),
        ("Average status of machines", "which number"),
        ("What is the average next maintenance of machines?", "which number"),
        ("total next maintenance of machines", "which number"),
        ("How many machines have next maintenance over 2020?", "what is compared"),
        ("top machines by hours", "come first"),
        ("machines by hours", "counted"),
        ("por favor", "which table"),
        ("'; DROP TABLE equipment; --", "'drop'"),
        ("how " * 61, "60 words"),
        ("?", "1 to 60"),
    ],
)
def test_a_question_that_is_not_understood_is_refused_and_the_word_named(
    asked: OpenPlant, question: str, told: str
) -> None:
    with pytest.raises(QuestionRefused, match=told):
        plan_question(question, asked.vocabulary, TODAY)


@pytest.mark.parametrize("language", ["en", "es", "id", "fr"])
def test_the_questions_that_are_proposed_are_understood(asked: OpenPlant, language: str) -> None:
    source, access, _, vocabulary = asked
    known = (Suggestion("How many dragons are there?"), Suggestion("How many machines are active?"))
    proposed = suggest_questions(vocabulary, TODAY, language, known)
    assert (len(proposed), proposed[0], proposed[2].is_grouped) == (3, known[1], True)
    assert ("¿" in proposed[1].question, "berapa" in proposed[1].question) == (language == "es", language == "id")
    for each in proposed:
        sql = plan_question(each.question, vocabulary, TODAY).write_sql()
        assert source.run(sql, access, {"hidden": "south"}, QueryLimits(), Stop()).rows
    asking = read_chart_words(proposed[2].ask_for_chart(language))
    assert asking is not None
    assert (asking.mark, plan_question(asking.question, vocabulary, TODAY).write_sql()) == ("bar", sql)


DUE, FAST = "How many machines are due this month?", "Which machines have more than 150 hours?"


@pytest.mark.parametrize(
    ("before", "question", "rows"),
    [
        (DUE, "and next month?", ((1,),)),
        (DUE, "and the pumps?", ((1,),)),
        (DUE, "Which ones are they?", (("Motor B2",), ("Pump A1",))),
        (DUE, "Which of them are stopped?", (("Motor B2",),)),
        (DUE, "by status", (("Active", 1), ("Stopped", 1))),
        (DUE, "¿y las bombas?", ((1,),)),
        (DUE, "kalau bulan depan?", ((1,),)),
        (DUE, "what is their average hours?", ((200.0,),)),
        (FAST, "and those under 60?", (("Valve C3",),)),  # in place of the former condition
        (FAST, "dari itu, mana yang hours terbanyak?", (("Motor B2",),)),
        ("How many machines are in Bandung?", "and in Medan?", ((2,),)),
        ("How many machines are in Bandung?", "which of them are pumps?", (("Pump A1",),)),
        ("How many machines for each status?", "only the pumps", (("Active", 2),)),
        (DUE, "What are their total hours?", ((400,),)),
        (
            "What is the average hours of the machines?",
            "per status?",
            (("Active", 116.66666666666667), ("Stopped", 300.0)),
        ),
        ("What is the average hours of the machines?", "how many for each status?", (("Active", 3), ("Stopped", 1))),
        ("¿Cuántas máquinas hay en Bandung?", "¿por estado?", (("Active", 1), ("Stopped", 1))),
    ],
)
def test_a_question_that_goes_on_keeps_the_conditions_that_it_does_not_replace(
    asked: OpenPlant, before: str, question: str, rows: tuple[tuple[object, ...], ...]
) -> None:
    source, access, _, vocabulary = asked
    draft = plan_followup(question, plan_question(before, vocabulary, TODAY), vocabulary, TODAY, "en")
    found = source.run(draft.write_sql(), access, {"hidden": "south"}, QueryLimits(), Stop()).rows
    assert tuple(sorted(found, key=str)) == rows


@pytest.mark.parametrize(
    ("before", "question", "why"),
    [
        (DUE, "and the purple ones?", "'purple'"),
        (DUE, "and the next?", "'next'"),
        (DUE, "and the ones above 5?", "what is compared"),
        (DUE, "ok", "asked for"),
        (DUE, "What is a machine?", "asked for"),
        ("Top 2 machines by hours", "only the pumps", "only some of the rows"),
        ("Which machine has the most hours?", "only the pumps", "only some of the rows"),
    ],
)
def test_a_question_that_goes_on_and_is_not_understood_is_refused(
    asked: OpenPlant, before: str, question: str, why: str
) -> None:
    vocabulary = asked.vocabulary
    with pytest.raises(QuestionRefused, match=why):
        plan_followup(question, plan_question(before, vocabulary, TODAY), vocabulary, TODAY, "en")

"""What every adapter of `PassageIndex` does, with two tenants in each test."""

import asyncio
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from retrieval.index import Filters, IndexCounts, PassageIndex
from retrieval.ranking import LONGEST_PASSAGE
from tests.retrieval.conftest import Open
from tests.retrieval.corpus import ACME, DIMENSION, GLOBEX, passage, texts, vector

LIBRARY = passage("The library opens at nine.")
PARKING = passage("Parking permits are sold at the gate.")
CODES = ("en", "es", "id", "fr", "de", "it", "pt", "nl")  # as many as are asked apart
SECRET = passage("Globex opens its secret library at midnight.", document_id="secrets")


async def test_a_passage_is_found_by_its_words_before_it_has_a_vector(index: PassageIndex) -> None:
    await index.put(ACME, [LIBRARY, PARKING])
    await index.put(GLOBEX, [SECRET])
    [hit] = await index.search(ACME, "When does the library open?", vector(1), limit=5)
    assert (hit.passage, hit.dense) == (LIBRARY, None)
    assert hit.lexical > 0


async def test_a_passage_is_found_by_its_meaning_without_a_common_word(index: PassageIndex) -> None:
    await index.put(ACME, [LIBRARY, PARKING])
    await index.put(GLOBEX, [SECRET])
    await index.put_vectors(ACME, {LIBRARY.passage_id: vector(0, 1), PARKING.passage_id: vector(1, 1)})
    await index.put_vectors(GLOBEX, {SECRET.passage_id: vector(1)})
    hits = await index.search(ACME, "駐車はどこですか?", vector(1), limit=5)
    assert texts(hits) == [PARKING.text, LIBRARY.text]
    assert [hit.dense for hit in hits] == pytest.approx([0.5**0.5, 0], abs=1e-5)
    assert [hit.lexical for hit in hits] == [0, 0]


async def test_a_tenant_finds_and_counts_its_own_passages_alone(index: PassageIndex) -> None:
    await index.put(ACME, [LIBRARY, PARKING])
    await index.put(GLOBEX, [SECRET])
    await index.put_vectors(GLOBEX, {SECRET.passage_id: vector(1)})
    assert texts(await index.search(ACME, "secret library midnight", vector(1), limit=5)) == [LIBRARY.text]
    assert texts(await index.search(GLOBEX, "library parking permits", vector(1), limit=5)) == [SECRET.text]
    assert await index.counts(ACME) == IndexCounts(passages=2, pending=2)
    assert await index.counts(GLOBEX) == IndexCounts(passages=1, pending=0)


async def test_the_same_passage_of_two_tenants_is_two_passages(index: PassageIndex) -> None:
    ours, theirs = replace(LIBRARY, title="Acme"), replace(LIBRARY, title="Globex")
    await index.put(ACME, [ours])
    await index.put(GLOBEX, [theirs])
    await index.put_vectors(GLOBEX, {LIBRARY.passage_id: vector(1)})
    assert await index.counts(ACME) == IndexCounts(passages=1, pending=1)
    await index.delete_documents(GLOBEX, [LIBRARY.document_id])
    [hit] = await index.search(ACME, "library", None, limit=5)
    assert hit.passage == ours
    assert await index.search(GLOBEX, "library", None, limit=5) == []


async def test_a_tenant_cannot_give_a_vector_to_another_ones_passage(index: PassageIndex) -> None:
    await index.put(ACME, [LIBRARY])
    await index.put(GLOBEX, [SECRET])
    await index.put_vectors(GLOBEX, {LIBRARY.passage_id: vector(1)})
    assert await index.counts(ACME) == IndexCounts(passages=1, pending=1)
    assert await index.counts(GLOBEX) == IndexCounts(passages=1, pending=1)


async def test_another_tenants_texts_do_not_move_the_scores(index: PassageIndex) -> None:
    await index.put(ACME, [LIBRARY, PARKING])
    [before] = await index.search(ACME, "library", None, limit=5)
    await index.put(GLOBEX, [passage(f"Library number {n}.") for n in range(50)])
    [after] = await index.search(ACME, "library", None, limit=5)
    assert after == before


async def test_every_field_of_a_passage_comes_back(index: PassageIndex) -> None:
    whole = replace(LIBRARY, title="Guía", url="https://a.example/g", page=3, heading="A › B", start=5, language="es")
    await index.put(ACME, [whole])
    await index.put(GLOBEX, [SECRET])
    await index.put_vectors(ACME, {whole.passage_id: vector(1)})
    [hit] = await index.search(ACME, "library", vector(1), limit=5)
    assert hit.passage == whole
    assert hit.lexical > 0


async def test_a_passage_of_before_chunks_had_a_limit_comes_back_as_long_as_they_may_be(index: PassageIndex) -> None:
    text = "Library" + " " * LONGEST_PASSAGE
    await index.put(ACME, [replace(LIBRARY, text=text, start=5, end=5 + len(text))])
    [hit] = await index.search(ACME, "library", None, limit=5)
    assert hit.passage.text == text[:LONGEST_PASSAGE]
    assert hit.passage.end == 5 + LONGEST_PASSAGE


async def test_title_and_heading_are_searched_too(index: PassageIndex) -> None:
    headed = replace(PARKING, title="Getting around", heading="Bicycles")
    await index.put(ACME, [headed])
    await index.put(GLOBEX, [SECRET])
    assert texts(await index.search(ACME, "bicycle", None, limit=5)) == [PARKING.text]


async def test_putting_a_passage_again_replaces_it_and_its_vector(index: PassageIndex) -> None:
    await index.put(ACME, [LIBRARY])
    await index.put(GLOBEX, [LIBRARY])
    for tenant in (ACME, GLOBEX):
        await index.put_vectors(tenant, {LIBRARY.passage_id: vector(1)})
    await index.put(ACME, [replace(LIBRARY, text="Closed for good.")])
    assert await index.counts(ACME) == IndexCounts(passages=1, pending=1)
    assert texts(await index.search(ACME, "closed", vector(1), limit=5)) == ["Closed for good."]
    assert await index.search(ACME, "library", None, limit=5) == []
    assert await index.counts(GLOBEX) == IndexCounts(passages=1, pending=0)


async def test_vectors_of_passages_that_are_gone_are_passed_over(index: PassageIndex) -> None:
    await index.put(ACME, [LIBRARY, PARKING])
    await index.put(GLOBEX, [SECRET])
    await index.put_vectors(ACME, {"no such id": vector(1), LIBRARY.passage_id: vector(1)})
    await index.put_vectors(ACME, {"no such id": vector(1)})
    assert await index.counts(ACME) == IndexCounts(passages=2, pending=1)
    assert await index.counts(GLOBEX) == IndexCounts(passages=1, pending=1)


@pytest.mark.parametrize("numbers", [[1.0] * (DIMENSION + 1), [np.nan] + [1.0] * (DIMENSION - 1)])
async def test_a_vector_that_does_not_fit_is_refused_and_none_is_written(
    index: PassageIndex, numbers: list[float]
) -> None:
    for tenant in (ACME, GLOBEX):
        await index.put(tenant, [LIBRARY, PARKING])
    with pytest.raises(ValueError, match=f"{DIMENSION} finite numbers"):
        await index.put_vectors(
            ACME, {PARKING.passage_id: vector(1), LIBRARY.passage_id: np.array(numbers, np.float32)}
        )
    for tenant in (ACME, GLOBEX):
        assert await index.counts(tenant) == IndexCounts(passages=2, pending=2)


async def test_deleting_a_document_removes_its_passages_and_no_others(index: PassageIndex) -> None:
    menu = passage("The menu of the library café.", document_id="menu")
    for tenant in (ACME, GLOBEX):
        await index.put(tenant, [LIBRARY, PARKING, menu])
    await index.delete_documents(ACME, ["handbook", "no such document"])
    assert texts(await index.search(ACME, "library parking", None, limit=5)) == [menu.text]
    assert await index.counts(GLOBEX) == IndexCounts(passages=3, pending=3)


async def test_what_does_not_hold_on_the_day_is_not_found_and_the_days_may_change(index: PassageIndex) -> None:
    ended = replace(LIBRARY, valid_until="2026-06-30", dated="2026-01-01")
    await index.put(ACME, [ended, PARKING])
    await index.put(GLOBEX, [LIBRARY])
    await index.put_vectors(ACME, {LIBRARY.passage_id: vector(1)})
    for day, found in (("2026-06-30", [ended]), ("2026-07-01", [])):
        on_day = Filters(day=date.fromisoformat(day))
        for question, by_meaning in (("library", None), ("¿Dónde?", vector(1)), ("library", vector(1))):
            hits = await index.search(ACME, question, by_meaning, limit=5, filters=on_day)
            assert [hit.passage for hit in hits] == found, (day, question)
        assert all(on_day.allow(passage) for passage in found)
    assert await index.search(ACME, "library", vector(1), limit=5) == []  # today
    begins = replace(ended, valid_from="2027-01-01", valid_until=None, labels=("tag=new",), precedence=2, dated=None)
    await index.update_document(ACME, replace(begins, passage_id="another of the document"))
    before, after = Filters(day=date(2026, 12, 31)), Filters(day=date(2027, 1, 1), labels=("tag=new",))
    assert await index.search(ACME, "library", vector(1), limit=5, filters=before) == []
    assert not before.allow(begins)
    hits = await index.search(ACME, "library", vector(1), limit=5, filters=after)
    assert [(hit.passage, hit.dense is None) for hit in hits if hit.lexical] == [(begins, False)]
    assert await index.counts(ACME) == IndexCounts(passages=2, pending=1)
    [theirs] = await index.search(GLOBEX, "library", None, limit=5, filters=before)
    assert theirs.passage == LIBRARY


async def test_the_nearest_passages_of_other_documents_are_those_of_the_tenant_in_the_language(
    index: PassageIndex,
) -> None:
    near, far = (passage(text, document_id=text) for text in ("The library opens at ten.", "Fish swim."))
    spanish = passage("La biblioteca abre a las diez.", document_id="es", language="es")
    same = passage("The library has books.")
    await index.put(ACME, [LIBRARY, same, near, far, spanish, PARKING])
    ours = {LIBRARY: (1, 0.1), same: (1, 0.1), near: (1, 0.2), far: (0, 1), spanish: (1, 0.1)}
    await index.put_vectors(ACME, {each.passage_id: vector(*numbers) for each, numbers in ours.items()})
    theirs = passage("The library opens at eleven.", document_id="theirs")
    await index.put(GLOBEX, [theirs])
    await index.put_vectors(GLOBEX, {theirs.passage_id: vector(1, 0.1)})
    assert list(await index.find_neighbours(ACME, LIBRARY, limit=5)) == [near, far]
    assert list(await index.find_neighbours(ACME, LIBRARY, limit=1)) == [near]
    assert list(await index.find_neighbours(ACME, PARKING, limit=5)) == []  # it waits for its vector
    assert list(await index.find_neighbours(GLOBEX, theirs, limit=5)) == []
    assert list(await index.find_neighbours(GLOBEX, LIBRARY, limit=5)) == []


async def test_deleting_nothing_deletes_nothing(index: PassageIndex) -> None:
    for tenant in (ACME, GLOBEX):
        await index.put(tenant, [LIBRARY])
    await index.delete_documents(ACME, [])
    assert await index.counts(ACME) == await index.counts(GLOBEX) == IndexCounts(passages=1, pending=1)


async def test_a_waiting_passage_is_not_pushed_out_by_those_with_vectors(index: PassageIndex) -> None:
    others = [passage(f"Room {n} of the library has {n} chairs.") for n in range(30)]
    for tenant in (ACME, GLOBEX):
        await index.put(tenant, [*others, LIBRARY])
    await index.put_vectors(ACME, {other.passage_id: vector(1, n / 30) for n, other in enumerate(others)})
    hits = await index.search(ACME, "At which hour, nine or ten, does it open?", vector(1), limit=3)
    assert hits[0].passage == LIBRARY
    assert hits[0].dense is None


async def test_at_most_the_limit_comes_back_best_first(index: PassageIndex) -> None:
    many = [passage(f"Chair {'oak ' * n}") for n in range(1, 8)]
    await index.put(ACME, many)
    await index.put(GLOBEX, [SECRET])
    await index.put_vectors(ACME, {other.passage_id: vector(1, n) for n, other in enumerate(many)})
    hits = await index.search(ACME, "oak chair", vector(1), limit=3)
    assert len(hits) == 3
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert len(await index.search(ACME, "oak chair", vector(1), limit=500)) == len(many)


@pytest.mark.parametrize("question", ["", "?!", "what is the"])
async def test_a_question_without_words_is_answered_by_meaning_alone(index: PassageIndex, question: str) -> None:
    await index.put(ACME, [LIBRARY])
    await index.put(GLOBEX, [SECRET])
    assert await index.search(ACME, question, None, limit=5) == []
    await index.put_vectors(ACME, {LIBRARY.passage_id: vector(1)})
    assert texts(await index.search(ACME, question, vector(1), limit=5)) == [LIBRARY.text]


async def test_passages_in_the_rarest_of_many_languages_are_found_by_their_words(index: PassageIndex) -> None:
    common = [passage(f"Library {code}{n}", language=code) for code in CODES for n in range(2)]
    rare = passage("Library fi", language="fi")
    for tenant in (ACME, GLOBEX):
        await index.put(tenant, [*common, rare])
        await index.put_vectors(tenant, {each.passage_id: vector(1, n) for n, each in enumerate([*common, rare])})
        hits = await index.search(tenant, "library", vector(1), limit=50)
        assert len(hits) == 17
        assert [hit.passage for hit in hits if hit.dense is None] == [rare]


async def test_an_empty_index_finds_nothing(index: PassageIndex) -> None:
    await index.put(GLOBEX, [SECRET])
    assert await index.search(ACME, "library", vector(1), limit=5) == []
    assert await index.counts(ACME) == IndexCounts(passages=0, pending=0)


async def test_an_index_opened_again_holds_what_it_held(open_index: Open, tmp_path: Path) -> None:
    first = open_index(tmp_path)
    await first.put(ACME, [LIBRARY, PARKING])
    await first.put(GLOBEX, [SECRET])
    await first.put_vectors(ACME, {LIBRARY.passage_id: vector(1)})
    before = await first.search(ACME, "library", vector(1), limit=5)
    await first.close()
    second = open_index(tmp_path)
    assert await second.search(ACME, "library", vector(1), limit=5) == before
    assert await second.counts(ACME) == IndexCounts(passages=2, pending=1)
    assert await second.counts(GLOBEX) == IndexCounts(passages=1, pending=1)
    await second.close()


# Qdrant's engine in Python never waits, so nothing can come in between: it is left out here.
@pytest.mark.parametrize("open_index", ["edge", "server"], indirect=True)
async def test_searches_are_answered_while_a_large_put_is_under_way(index: PassageIndex) -> None:
    await index.put(ACME, [LIBRARY])
    putting = asyncio.create_task(index.put(GLOBEX, [passage(f"Library room {n}.") for n in range(2000)]))
    answered = 0
    while not putting.done():
        assert texts(await index.search(ACME, "library room", None, limit=5)) == [LIBRARY.text]
        answered += not putting.done()
    await putting
    assert answered > 5
    assert (await index.counts(GLOBEX)).passages == 2000


async def test_many_searches_and_writes_at_once_keep_the_tenants_apart(index: PassageIndex) -> None:
    async def live(tenant_number: int) -> None:
        tenant = (ACME, GLOBEX)[tenant_number % 2]
        mine = [passage(f"{tenant.tenant_id} shared word {n}", document_id=f"{tenant_number}") for n in range(20)]
        await index.put(tenant, mine)
        await index.put_vectors(tenant, {each.passage_id: vector(1, tenant_number) for each in mine})
        hits = await index.search(tenant, "shared word", vector(1), limit=50)
        assert all(text.startswith(tenant.tenant_id) for text in texts(hits))
        await index.delete_documents(tenant, [f"{tenant_number}"])

    await asyncio.gather(*(live(number) for number in range(12)))
    assert await index.counts(ACME) == await index.counts(GLOBEX) == IndexCounts(passages=0, pending=0)


RULE, YEAR = "kind=rule", "year=2026"
LAW = replace(passage("Fines of the library.", document_id="law"), dataset_id="rules", labels=(RULE, YEAR))
OLD = replace(passage("Old fines of the library.", document_id="old"), dataset_id="rules", labels=(RULE,))
NEWS = replace(passage("La biblioteca library news.", document_id="news", language="es"), dataset_id="news")


@pytest.mark.parametrize(
    ("filters", "allowed"),
    [
        (Filters(), {LAW, OLD, NEWS}),
        (Filters(dataset_ids=("rules",)), {LAW, OLD}),
        (Filters(dataset_ids=("rules", "news")), {LAW, OLD, NEWS}),
        (Filters(document_ids=("old", "news")), {OLD, NEWS}),
        (Filters(languages=("es",)), {NEWS}),
        (Filters(labels=(RULE, YEAR)), {LAW}),
        (Filters(dataset_ids=("news",), labels=(RULE,)), set()),
    ],
)
async def test_a_filter_lets_through_what_has_one_of_its_values_in_each_field_and_all_labels(
    index: PassageIndex, filters: Filters, allowed: set[object]
) -> None:
    theirs = [replace(each, title="Globex") for each in (LAW, OLD, NEWS)]
    ours = [LAW, OLD, NEWS]
    for ctx, passages in ((ACME, ours), (GLOBEX, theirs)):
        await index.put(ctx, passages)
        await index.put_vectors(ctx, {each.passage_id: vector(1, n) for n, each in enumerate(passages)})
    for question in ("library", "Wo?"):  # by words and meaning, and by meaning alone
        assert {
            hit.passage for hit in await index.search(ACME, question, vector(1), limit=5, filters=filters)
        } == allowed
    hits = await index.search(ACME, "library", None, limit=5, filters=filters)
    assert {hit.passage for hit in hits} == allowed
    assert {each for each in ours if filters.allow(each)} == allowed


async def test_a_filter_does_not_move_the_scores_by_words(index: PassageIndex) -> None:
    await index.put(ACME, [LAW, OLD, NEWS])
    await index.put(GLOBEX, [LAW])
    everywhere = {hit.passage: hit.lexical for hit in await index.search(ACME, "old fines", None, limit=5)}
    [hit] = await index.search(ACME, "old fines", None, limit=5, filters=Filters(document_ids=("old",)))
    assert hit.lexical == pytest.approx(everywhere[OLD])


async def test_a_hit_tells_its_places_by_meaning_and_by_words_alone(index: PassageIndex) -> None:
    garden = passage("The garden is closed.")
    await index.put(ACME, [LIBRARY, PARKING, garden])
    await index.put(GLOBEX, [LIBRARY])
    near = {LIBRARY.passage_id: vector(0, 1), PARKING.passage_id: vector(1, 0.5), garden.passage_id: vector(1)}
    await index.put_vectors(ACME, near)
    await index.put_vectors(GLOBEX, near)
    hits = await index.search(ACME, "Do the parking permits open the gate of the library?", vector(1), limit=5)
    places = {hit.passage: (hit.dense_rank, hit.lexical_rank) for hit in hits}
    assert places == {garden: (1, None), PARKING: (2, 1), LIBRARY: (3, 2)}
    [theirs] = await index.search(GLOBEX, "library", vector(1), limit=5)
    assert (theirs.dense_rank, theirs.lexical_rank) == (1, 1)

"""What a document is recognised by: never a title or a name that somebody typed. Held to a dictionary as the oracle."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func

from auth.principal import Principal
from domain.dataset_roles import ensure_dataset_of, list_indexed_ids
from domain.datasets import create_dataset, remove_dataset
from domain.db import Database
from domain.documents import list_documents, record_failure, remove_documents, replace_document
from domain.job_requests import remove_with_jobs
from domain.models import Dataset, DatasetRole, Document, Job
from domain.quotas import UNLIMITED
from domain.scoping import scoped, select_everywhere
from domain.uploads import Accepted, Description, Incoming, accept
from tests.domain.lookalikes import ALIKE
from tests.domain.records import ACME, GLOBEX, content
from tests.domain.uploaded import new_dataset
from tests.examples import count_examples
from utils.errors import Conflict

TENANTS = (ACME, GLOBEX)
HASHES = tuple(digit * 64 for digit in "abc")
NAMES = st.sampled_from(ALIKE)
EXTERNAL_IDS = st.none() | st.sampled_from(ALIKE).map(lambda name: name[:200])
STEPS = st.one_of(
    st.tuples(st.just("add"), NAMES, st.sampled_from(HASHES), EXTERNAL_IDS),
    st.tuples(st.just("remove"), st.integers(0, 5)),
)
WITH_DATABASE = settings(
    max_examples=count_examples(20), suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


def take(
    database: Database,
    ctx: Principal,
    dataset_id: str,
    name: str,
    content_hash: str,
    external_id: str | None = None,
    **about: str,
) -> Accepted:
    """A file that is sent, under a name and title."""
    with database.open_write_session() as session:
        said = Description(title=name, external_id=external_id, **about)  # type: ignore[arg-type] # of texts alone
        return accept(session, ctx, dataset_id, Incoming(name, content_hash, 10, said), UNLIMITED)


def held(database: Database, ctx: Principal, dataset_id: str) -> dict[str, tuple[str | None, str]]:
    """The documents of a dataset: what they are called by their owner, and the file that is or will be read."""
    with database.open_read_session() as session:
        rows = session.execute(
            scoped(ctx, Document)
            .join(Job, Job.document_id == Document.document_id)
            .where(Document.dataset_id == dataset_id)
            .with_only_columns(Document.document_id, Document.external_id, Job.content_hash)
        )
        return {document_id: (external_id, content_hash) for document_id, external_id, content_hash in rows}


@WITH_DATABASE
@given(steps=st.lists(STEPS, max_size=14))
def test_whatever_documents_are_called_none_takes_the_place_of_another(
    database: Database, steps: list[tuple[object, ...]]
) -> None:
    dataset_ids = {ctx: new_dataset(database, ctx, uuid4().hex) for ctx in TENANTS}
    theirs = take(database, GLOBEX, dataset_ids[GLOBEX], ALIKE[0], HASHES[0], ALIKE[0]).document.document_id
    dataset_id = dataset_ids[ACME]
    expected: dict[str, tuple[str | None, str]] = {}
    for step in steps:
        if step[0] == "add":
            _, name, content_hash, external_id = step
            taken = take(database, ACME, dataset_id, str(name), str(content_hash), external_id)  # type: ignore[arg-type]
            follow(expected, taken, str(content_hash), external_id)  # type: ignore[arg-type]
        elif expected:
            document_id = sorted(expected)[int(str(step[1])) % len(expected)]
            with database.open_write_session() as session:
                remove_with_jobs(session, ACME, [document_id])
            del expected[document_id]
        assert held(database, ACME, dataset_id) == expected
    assert held(database, GLOBEX, dataset_ids[GLOBEX]) == {theirs: (ALIKE[0], HASHES[0])}
    for ctx in TENANTS:
        with database.open_write_session() as session:
            remove_dataset(session, ctx, dataset_ids[ctx])


def follow(
    expected: dict[str, tuple[str | None, str]], taken: Accepted, content_hash: str, external_id: str | None
) -> None:
    """Do to the oracle what was said to be done, and look that it was right to."""
    document_id = taken.document.document_id
    if external_id is None:
        assert taken.unchanged == (content_hash in {there for _, there in expected.values()})
        assert not taken.replaced
        if taken.unchanged:
            assert expected[document_id][1] == content_hash
            return
    known = next((key for key, (other, _) in expected.items() if other is not None and other == external_id), None)
    assert (known is not None) == (taken.replaced or (taken.unchanged and external_id is not None))
    assert document_id == known if known else document_id not in expected
    if taken.unchanged:
        assert expected[document_id] == (external_id, content_hash)
    expected[document_id] = (external_id, content_hash)


def test_the_same_content_is_recognised_and_rather_where_nothing_takes_its_place(database: Database) -> None:
    dataset_id = new_dataset(database, ACME)
    named = take(database, ACME, dataset_id, "a.md", HASHES[0], "a").document.document_id
    again = take(database, ACME, dataset_id, "b.md", HASHES[0])
    assert (again.document.document_id, again.unchanged, again.replaced) == (named, True, False)
    plain = take(database, ACME, dataset_id, "c.md", HASHES[1]).document.document_id
    take(database, ACME, dataset_id, "a.md", HASHES[1], "a")
    assert take(database, ACME, dataset_id, "d.md", HASHES[1]).document.document_id == plain
    assert not take(database, ACME, new_dataset(database, ACME, "Other"), "d.md", HASHES[1]).unchanged
    assert not take(database, GLOBEX, new_dataset(database, GLOBEX), "d.md", HASHES[1]).unchanged


def test_what_is_said_of_a_document_counts_as_a_change_where_its_content_stays(database: Database) -> None:
    dataset_id = new_dataset(database, ACME)
    first = take(database, ACME, dataset_id, "Fees", HASHES[0], "fees")
    assert take(database, ACME, dataset_id, "Fees", HASHES[0], "fees").unchanged
    renamed = take(database, ACME, dataset_id, "All fees", HASHES[0], "fees")
    assert (renamed.replaced, renamed.document.document_id) == (True, first.document.document_id)
    assert renamed.document.title == "All fees"


@pytest.mark.parametrize("external_id", ["a", None])
def test_several_uploads_at_once_are_one_after_the_other(database: Database, external_id: str | None) -> None:
    dataset_id, at_once = new_dataset(database, ACME), 6
    start = Barrier(at_once)

    def send(number: int) -> Accepted:
        start.wait(10)
        return take(database, ACME, dataset_id, f"{number}.md", f"{number:064x}", external_id)

    with ThreadPoolExecutor(at_once) as pool:
        taken = list(pool.map(send, range(at_once)))
    there = held(database, ACME, dataset_id)
    assert {one.document.document_id for one in taken} == set(there)
    assert not any(one.unchanged for one in taken)
    if external_id is None:
        assert (len(there), any(one.replaced for one in taken)) == (at_once, False)
    else:
        assert (len(there), sum(one.replaced for one in taken)) == (1, at_once - 1)
        [(_, last)] = there.values()
        assert last in {f"{number:064x}" for number in range(at_once)}


def test_what_folders_and_sites_bring_is_in_a_dataset_that_no_text_gets_into_by_its_name(database: Database) -> None:
    origins = ("/srv/fees.md", "samples:fees.md", "web:https://example.org/fees")
    with database.open_write_session() as session:
        create_dataset(session, ACME, "default")  # somebody's
        for origin in origins:
            replace_document(session, ACME, origin, content(origin))
        record_failure(session, ACME, "/srv/broken.pdf", "broken.pdf", "It is damaged.")
        default = ensure_dataset_of(session, ACME, DatasetRole.DEFAULT)
        assert (
            default.name,
            session.scalar(select_everywhere(Dataset).with_only_columns(func.count(Dataset.tenant_id))),
        ) == ("default 2", 2)
        assert {document.dataset_id for document in list_documents(session, ACME)} == {default.dataset_id}
    for name in origins:
        assert not take(database, ACME, default.dataset_id, name, HASHES[0], name, source=name).replaced
    with database.open_read_session() as session:
        assert len(list_documents(session, ACME)) == len(origins) * 2 + 1
        assert list_documents(session, GLOBEX) == []
        assert list_indexed_ids(session, ACME, [default.dataset_id, "x"]) == (default.dataset_id, "x", "")
        assert list_indexed_ids(session, GLOBEX, [default.dataset_id]) == (default.dataset_id,)
    with pytest.raises(Conflict), database.open_write_session() as session:
        remove_dataset(session, ACME, default.dataset_id)


def test_a_file_of_a_folder_that_is_sent_too_is_recognised(database: Database) -> None:
    with database.open_write_session() as session:
        loaded = replace_document(session, ACME, "/srv/fees.md", content("Fees."))
        content_hash, dataset_id = loaded.content_hash, str(loaded.dataset_id)
    again = take(database, ACME, dataset_id, "fees.md", content_hash)
    assert (again.document.document_id, again.unchanged, again.job) == (loaded.document_id, True, None)
    assert not take(database, GLOBEX, new_dataset(database, GLOBEX), "fees.md", content_hash).unchanged


def test_a_file_that_comes_back_to_its_folder_is_the_same_document(database: Database) -> None:
    def load() -> str:
        with database.open_write_session() as session:
            return replace_document(session, ACME, "/srv/fees.md", content("Fees.")).document_id

    first = load()
    with database.open_write_session() as session:
        remove_documents(session, ACME, [first])
    assert load() == first


def test_two_that_need_the_default_dataset_at_once_get_one(database: Database) -> None:
    start = Barrier(4)

    def load(number: int) -> str | None:
        start.wait(10)
        with database.open_write_session() as session:
            return replace_document(session, ACME, f"/srv/{number}.md", content("Fees.")).dataset_id

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(load, range(4)))) == 1

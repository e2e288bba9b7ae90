"""Several processes change the same records at once: nothing is lost, doubled or half done, on either database."""

import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from auth.principal import Principal
from domain import index_marks, indexes, indexing, jobs
from domain.db import Database
from domain.documents import get_chunks, list_documents, record_failure, remove_documents, replace_document
from domain.job_requests import begin_again, cancel, remove_with_jobs
from domain.keys import create_first_key, ensure_tenant, find_key
from domain.models import Chunk, Dataset, Document, DocumentState, Job, JobStage, Tenant
from domain.passages import make_passage
from domain.progress import derive_status
from domain.quotas import UNLIMITED
from domain.rechunking import add_chunks
from domain.scoping import EVERYWHERE, scoped, select_everywhere
from domain.slots import ALL_SLOTS, FIRST_SLOT
from domain.uploads import Description, Incoming, accept
from tests.domain.records import ACME, GLOBEX, content
from tests.domain.uploaded import new_dataset
from utils.errors import Conflict, NotFound

pytestmark = pytest.mark.long

AT_ONCE = 6
CUTS = ("1/220/400/80/16", "1/60/90/21/4")  # the first is that of `content`
SPECS = [indexes.IndexSpec("a model", 8, None, "1", cut) for cut in CUTS]
Work = Callable[[Session], object]
Step = Callable[[Session, Principal, random.Random], None]


def all_at_once(work: Callable[[int], object]) -> list[object]:
    """What *work* gives in each of the threads, which begin together."""
    start = threading.Barrier(AT_ONCE)

    def begin(number: int) -> object:
        start.wait(10)
        return work(number)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(begin, range(AT_ONCE)))


def meanwhile(database: Database, first: Work, second: Work) -> tuple[object, object]:
    """What both give when *second* begins after *first* and before its commit, which it has to wait for."""

    def run_second() -> object:
        with database.open_write_session() as session:
            return second(session)

    with ThreadPoolExecutor(1) as pool:
        with database.open_write_session() as session:
            given = first(session)
            running = pool.submit(run_second)
            with pytest.raises(TimeoutError):
                running.result(0.3)
        return given, running.result(10)


def test_a_tenant_made_by_two_at_once_is_one(database: Database) -> None:
    def make(session: Session) -> str:
        return ensure_tenant(session, "initech").tenant_id

    assert meanwhile(database, make, make) == ("initech", "initech")
    with database.open_read_session() as session:
        assert session.scalar(select(func.count()).select_from(Tenant)) == 3


def test_one_of_two_that_ask_at_once_gets_the_first_key(database: Database) -> None:
    def ask(session: Session) -> str | None:
        return create_first_key(session, "acme", "first key")

    given, refused = meanwhile(database, ask, ask)
    assert refused is None
    with database.open_write_session() as session:
        found = find_key(session, str(given))
        assert found is not None
        assert found.key.tenant_id == "acme"
        assert create_first_key(session, "globex", "first key") is not None


def test_a_file_loaded_by_several_at_once_is_one_document(database: Database) -> None:
    def load(number: int) -> object:
        with database.open_write_session() as session:
            return replace_document(session, ACME, "/leave.md", content(*[f"version {number}"] * (number + 1)))

    all_at_once(load)
    with database.open_read_session() as session:
        (document,) = list_documents(session, ACME)
        texts = [chunk.text for chunk in get_chunks(session, ACME, document.document_id)]
        assert list_documents(session, GLOBEX) == []
    assert document.version == AT_ONCE
    assert len(texts) == document.chunk_count
    assert set(texts) == {f"version {len(texts) - 1}"}


@pytest.mark.parametrize("seed", [1, 2])
def test_loaders_and_indexer_never_stand_in_each_others_way(database: Database, seed: int) -> None:
    live_together(database, STEPS, rounds=25, seed=seed)
    assert_chunks_are_those_of_their_documents(database)


def test_indexes_come_serve_and_go_while_documents_do(database: Database) -> None:
    with database.open_write_session() as session:
        session.add(indexes.make_first_row(SPECS[0]))
    live_together(
        database, [*STEPS, *(3 * [begin_index, cut_again]), *(3 * [switch]), *(3 * [give_up])], rounds=20, seed=3
    )
    assert_chunks_are_those_of_their_documents(database)
    with database.open_read_session() as session:
        slots = [row.slot for row in indexes.list_indexes(session)]
    for slot in slots:
        for ctx in (ACME, GLOBEX):
            index_all(database, ctx, slot)
    with database.open_read_session() as session:
        found = [document for ctx in (ACME, GLOBEX) for document in list_documents(session, ctx)]
        used = {row.chunking_version for row in indexes.list_indexes(session)}
        chunks = [chunk for chunk in session.scalars(select_everywhere(Chunk)) if chunk.chunking_version in used]
    assert_chunks_are_those_of_their_documents(database)
    read = [document for document in found if document.state != DocumentState.FAILED]
    assert {document.state for document in read} <= {DocumentState.READY}
    assert {document.lexical_slots for document in read} <= {ALL_SLOTS}
    assert {(chunk.lexical_slots, chunk.dense_slots) for chunk in chunks} <= {(ALL_SLOTS, ALL_SLOTS)}


def live_together(database: Database, steps: Sequence[Step], *, rounds: int, seed: int) -> None:
    """Let threads take *steps* at random, each in a transaction of its own."""

    def live(number: int) -> object:
        dice = random.Random(seed * 100 + number)
        for _ in range(rounds):
            with database.open_write_session() as session:
                dice.choice(steps)(session, dice.choice([ACME, GLOBEX]), dice)
        return None

    all_at_once(live)


def assert_chunks_are_those_of_their_documents(database: Database) -> None:
    with database.open_read_session() as session:
        serving = indexes.find_serving_index(session)
        for ctx in (ACME, GLOBEX):
            for document in list_documents(session, ctx):
                chunks = get_chunks(session, ctx, document.document_id)
                served = [
                    chunk.position
                    for chunk in chunks
                    if serving is None or chunk.chunking_version == serving.chunking_version
                ]
                assert served == list(range(document.chunk_count)) or not served
                assert bool(chunks) == bool(document.chunk_count)


def index_all(database: Database, ctx: Principal, slot: int) -> None:
    """Cut and mark as an indexer does that fills the index of *slot* anew."""
    with database.open_write_session() as session:
        index_marks.mark_undone(session, ctx, slot)
        uncut = [
            document for document, chunks in indexing.list_documents_without_words(session, ctx, 20, slot) if not chunks
        ]
        session.expunge_all()
        for document in uncut:
            add_chunks(session, ctx, document, slot, content("small", "small").chunks)
        waiting = indexing.list_documents_without_words(session, ctx, 20, slot)
        removed = [document for document, _ in waiting if document.state == DocumentState.REMOVED]
        present = [(document, chunks) for document, chunks in waiting if document.state != DocumentState.REMOVED]
        passages = [make_passage(document, chunk) for document, chunks in present for chunk in chunks]
        index_marks.drop_removed(session, ctx, removed, slot)
        index_marks.mark_words(session, ctx, passages, slot)
        index_marks.mark_searchable(session, ctx, [document for document, _ in present], slot)
        index_marks.mark_vectors(session, ctx, indexing.list_passages_without_vectors(session, ctx, 200, 0, slot), slot)


def replace(session: Session, ctx: Principal, dice: random.Random) -> None:
    texts = [f"text {dice.randrange(3)} of {ctx.tenant_id}" for _ in range(dice.randrange(1, 12))]
    replace_document(session, ctx, f"/{dice.randrange(4)}.md", content(*texts))


def fail(session: Session, ctx: Principal, dice: random.Random) -> None:
    record_failure(session, ctx, f"/{dice.randrange(4)}.md", "x.md", "It is damaged.")


def remove(session: Session, ctx: Principal, dice: random.Random) -> None:
    documents = list_documents(session, ctx)
    dice.shuffle(documents)
    remove_documents(session, ctx, [document.document_id for document in documents[:2]])


def cut_again(session: Session, ctx: Principal, dice: random.Random) -> None:
    slot = any_slot(session, dice)
    uncut = [
        document for document, chunks in indexing.list_documents_without_words(session, ctx, 20, slot) if not chunks
    ]
    session.expunge_all()
    dice.shuffle(uncut)
    for document in uncut[:1]:  # one a transaction, as `Rechunker` does it
        add_chunks(session, ctx, document, slot, content(*["small"] * dice.randrange(1, 12)).chunks)


def mark_words(session: Session, ctx: Principal, dice: random.Random) -> None:
    slot = any_slot(session, dice)
    waiting = indexing.list_documents_without_words(session, ctx, 20, slot)
    passages = [make_passage(document, chunk) for document, chunks in waiting for chunk in chunks]
    dice.shuffle(passages)
    index_marks.mark_words(session, ctx, passages, slot)


def mark_searchable(session: Session, ctx: Principal, dice: random.Random) -> None:
    slot = any_slot(session, dice)
    documents = [document for document, _ in indexing.list_documents_without_words(session, ctx, 20, slot)]
    dice.shuffle(documents)
    index_marks.mark_searchable(session, ctx, documents, slot)


def drop_removed(session: Session, ctx: Principal, dice: random.Random) -> None:
    slot = any_slot(session, dice)
    documents = [document for document, _ in indexing.list_documents_without_words(session, ctx, 20, slot)]
    dice.shuffle(documents)
    index_marks.drop_removed(session, ctx, documents, slot)


def mark_vectors(session: Session, ctx: Principal, dice: random.Random) -> None:
    slot = any_slot(session, dice)
    passages = indexing.list_passages_without_vectors(session, ctx, 20, 0, slot)
    dice.shuffle(passages)
    index_marks.mark_vectors(session, ctx, passages, slot)


def lose_index(session: Session, ctx: Principal, dice: random.Random) -> None:
    index_marks.mark_undone(session, ctx, any_slot(session, dice))


def begin_index(session: Session, _ctx: Principal, dice: random.Random) -> None:
    with suppress(Conflict):  # there are four
        indexes.begin_index(session, dice.choice(SPECS))


def switch(session: Session, _ctx: Principal, dice: random.Random) -> None:
    with suppress(Conflict, NotFound):  # it serves, or is gone
        indexes.switch_to(session, dice.choice(indexes.list_indexes(session)).number)


def give_up(session: Session, _ctx: Principal, dice: random.Random) -> None:
    number = dice.choice(indexes.list_indexes(session)).number
    with suppress(Conflict, NotFound):
        indexes.drop_index(session, number)
        indexes.forget_index(session, number)


def any_slot(session: Session, dice: random.Random) -> int:
    return dice.choice([row.slot for row in indexes.list_indexes(session)] or [FIRST_SLOT])


# A transaction each, as the loader and the indexer have them.
STEPS = [
    replace,
    replace,
    fail,
    remove,
    mark_words,
    mark_words,
    mark_searchable,
    drop_removed,
    mark_vectors,
    lose_index,
]


def test_a_document_is_ready_though_its_words_and_its_vectors_are_noted_at_the_same_moment(database: Database) -> None:
    with database.open_write_session() as session:
        document = replace_document(session, ACME, "/leave.md", content("one"))
        passages = [make_passage(document, chunk) for chunk in get_chunks(session, ACME, document.document_id)]
        index_marks.mark_words(session, ACME, passages)

    meanwhile(
        database,
        lambda session: index_marks.mark_searchable(session, ACME, [document]),
        lambda session: index_marks.mark_vectors(session, ACME, passages),
    )
    with database.open_read_session() as session:
        assert [found.state for found in list_documents(session, ACME)] == ["ready"]


@pytest.mark.parametrize("seed", [1, 2])
def test_uploads_workers_and_those_who_tidy_never_stand_in_each_others_way(database: Database, seed: int) -> None:
    for ctx in (ACME, GLOBEX):
        new_dataset(database, ctx, "Shared")
    live_together(database, [*JOB_STEPS, *STEPS], rounds=25, seed=seed)
    with database.open_read_session() as session:
        rows = session.execute(
            select(Document, Document.status, Job).execution_options(**EVERYWHERE).outerjoin(Job)
        ).all()
        for document, status, job in rows:
            expected = "removed" if document.state == DocumentState.REMOVED else derive_status(document, job)
            assert status == expected


def send(session: Session, ctx: Principal, dice: random.Random) -> None:
    dataset_id = session.scalars(scoped(ctx, Dataset).where(Dataset.name == "Shared")).one().dataset_id
    about = Description(external_id=dice.choice([None, "a", "b", "c"]))
    accept(session, ctx, dataset_id, Incoming("a.md", f"{dice.randrange(9):064x}", 10, about), UNLIMITED)


def work(session: Session, ctx: Principal, dice: random.Random) -> None:
    jobs.claim(session, ctx, worker=f"{dice.randrange(3)}", lease_s=dice.choice([-1, 60]))


def finish(session: Session, ctx: Principal, dice: random.Random) -> None:
    """What a worker does at the end of a stage, if the job is still its own."""
    held = one_held(session, ctx, dice)
    if held is None:
        return
    with suppress(jobs.LeaseLost):
        if jobs.end_cancelled(session, ctx, held):
            return
        document = jobs.lock_claimed_document(session, ctx, held)
        if dice.random() < 0.3:
            jobs.retry_later(session, ctx, held, jobs.Failure("It is away.", "Wait."))
            return
        replace_document(session, ctx, document.origin, content("read"))
        jobs.advance(session, ctx, held, JobStage.INDEXING)


def one_held(session: Session, ctx: Principal, dice: random.Random) -> jobs.ClaimedJob | None:
    taken = session.scalars(scoped(ctx, Job).where(Job.worker.is_not(None))).all()
    if not taken:
        return None
    job = dice.choice(taken)
    found = jobs.ClaimedJob(
        job.job_id, job.document_id, str(job.worker), JobStage(job.stage), job.content_hash, "a.md", 1, ctx
    )
    session.expunge_all()
    return found


def tidy(session: Session, ctx: Principal, dice: random.Random) -> None:
    jobs.tidy(session, ctx)


def stop(session: Session, ctx: Principal, dice: random.Random) -> None:
    with suppress(Conflict, NotFound):
        cancel(session, ctx, any_uploaded(session, ctx, dice))


def begin_anew(session: Session, ctx: Principal, dice: random.Random) -> None:
    with suppress(NotFound):
        begin_again(session, ctx, any_uploaded(session, ctx, dice), UNLIMITED)


def delete(session: Session, ctx: Principal, dice: random.Random) -> None:
    remove_with_jobs(session, ctx, [any_uploaded(session, ctx, dice)])


def any_uploaded(session: Session, ctx: Principal, dice: random.Random) -> str:
    ids = session.scalars(scoped(ctx, Job).with_only_columns(Job.document_id)).all()
    return dice.choice(ids or ["none"])


JOB_STEPS = [send, send, send, work, work, finish, finish, tidy, stop, begin_anew, delete]

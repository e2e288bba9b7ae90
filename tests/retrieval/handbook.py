"""Tenants' handbooks, in an index with vectors, and the calibrations that come of them."""

from auth.principal import Principal
from domain.db import Database
from domain.indexes import IndexSpec, begin_index, make_first_row, switch_to
from domain.models import IndexRow
from retrieval.answerability import Calibration
from retrieval.calibration import Calibrations
from retrieval.index import PassageIndex
from retrieval.lexical import make_embedding_text
from tests.retrieval.corpus import passage
from utils.passages import Passage
from utils.ports import Embedder

TOPICS = (
    "library", "laundry", "parking", "canteen", "ferry", "dormitory", "tuition", "examination", "scholarship", "garden",
    "laboratory", "swimming", "printing", "orchestra", "kindergarten", "bicycle", "insurance", "graduation", "boat",
    "observatory", "workshop", "chapel", "archive", "gymnasium",
)  # fmt: skip


def about(topic: str) -> Passage:
    text = f"Whoever wants to use the {topic} registers at the {topic} counter. The {topic} opens on weekdays."
    return passage(text, document_id=topic, title=topic.title())


HANDBOOK = [about(topic) for topic in TOPICS]


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


async def put(index: PassageIndex, embedder: Embedder, ctx: Principal, passages: list[Passage]) -> None:
    await index.put(ctx, passages)
    vectors = await embedder.embed_passages([make_embedding_text(each) for each in passages])
    await index.put_vectors(ctx, {each.passage_id: vectors[at] for at, each in enumerate(passages)})


async def settled(calibrations: Calibrations, ctx: Principal) -> Calibration | None:
    """What is known of a tenant once all that is due has been done."""
    calibrations.get(ctx)
    await calibrations.settle()
    return calibrations.get(ctx)


def note_index(database: Database, model: str) -> int:
    """Note an index of *model* that serves, with the former ones kept; its number."""
    spec = IndexSpec(model, 8, None, "1", "1")
    with database.open_write_session() as session:
        if session.get(IndexRow, 1) is None:
            session.add(make_first_row(spec))
            return 1
        return switch_to(session, begin_index(session, spec).number).number

"""What a tenant's people thought of answers: noted, changed, taken back, and listed."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from domain.models import AnswerRating, now
from domain.scoping import scoped, scoped_count, scoped_delete
from utils.context import TenantContext
from utils.errors import Conflict, NotFound

MOST_RATINGS = 20_000  # of a tenant, as many as a set of questions may have
Verdict = Literal["up", "down"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """A verdict about the answer that a run gave to a question; see `AnswerRating` for the parts."""

    run_id: str
    conversation_id: str
    rating: Verdict
    question: str
    answer: str
    answered: bool
    stands_alone: bool
    sources: Sequence[str] = ()
    comment: str = ""
    expected: str = ""


def rate(session: Session, ctx: TenantContext, rating: Rating) -> AnswerRating:
    """Note it, in place of what was said of that answer before; flushed, not committed.

    Raises:
        Conflict: the tenant has as many as it may.
    """
    row = _locked(session, ctx, rating.run_id) or _added(session, ctx, rating)
    for part in fields(rating):
        setattr(row, part.name, getattr(rating, part.name))
    row.sources, row.rated_at = list(rating.sources), now()
    session.flush()
    return row


def take_back(session: Session, ctx: TenantContext, conversation_id: str, run_id: str) -> None:
    """Forget what was said of an answer.

    Raises:
        NotFound: nothing was.
    """
    here = AnswerRating.run_id == run_id, AnswerRating.conversation_id == conversation_id
    if not session.execute(scoped_delete(ctx, AnswerRating).where(*here)).rowcount:  # type: ignore[attr-defined] # a DELETE gives a CursorResult
        raise NotFound("This answer is not rated.")


def forget_ratings(session: Session, ctx: TenantContext, conversation_id: str) -> int:
    """Forget what was said of all answers of a conversation; of how many."""
    here = AnswerRating.conversation_id == conversation_id
    return int(session.execute(scoped_delete(ctx, AnswerRating).where(here)).rowcount)  # type: ignore[attr-defined] # as above


def verdicts(session: Session, ctx: TenantContext, conversation_id: str) -> dict[str, str]:
    """The verdicts about a conversation's answers by run."""
    here = scoped(ctx, AnswerRating).where(AnswerRating.conversation_id == conversation_id)
    return {row.run_id: row.rating for row in session.scalars(here)}


def list_ratings(
    session: Session, ctx: TenantContext, *, rating: Verdict | None = None, limit: int = MOST_RATINGS, offset: int = 0
) -> tuple[list[AnswerRating], int]:
    """The tenant's ratings, the newest first, and how many there are."""
    wanted = () if rating is None else (AnswerRating.rating == rating,)
    newest = AnswerRating.rated_at.desc(), AnswerRating.run_id
    found = scoped(ctx, AnswerRating).where(*wanted).order_by(*newest).limit(limit).offset(offset)
    total = session.scalar(scoped_count(ctx, AnswerRating).where(*wanted)) or 0
    return list(session.scalars(found)), total


def _locked(session: Session, ctx: TenantContext, run_id: str) -> AnswerRating | None:
    return session.scalar(scoped(ctx, AnswerRating).where(AnswerRating.run_id == run_id).with_for_update())


def _added(session: Session, ctx: TenantContext, rating: Rating) -> AnswerRating:
    if (session.scalar(scoped_count(ctx, AnswerRating)) or 0) >= MOST_RATINGS:
        raise Conflict(f"There are {MOST_RATINGS:,} ratings already: make questions of them and take some back.")
    parts = {part.name: getattr(rating, part.name) for part in fields(rating)}
    row = AnswerRating(tenant_id=ctx.tenant_id, **{**parts, "sources": list(rating.sources)})
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:  # another verdict about it came in between, which may be gone again
        return _locked(session, ctx, rating.run_id) or _added(session, ctx, rating)
    return row

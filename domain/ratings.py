"""What a tenant's people thought of answers: noted, changed, taken back, and listed."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any, Literal

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from domain.documents import in_batches
from domain.models import AnswerRating, now
from domain.scoping import delete_everywhere, scoped, scoped_count, scoped_delete
from utils.context import TenantContext
from utils.errors import Conflict, NotFound

MOST_RATINGS = 20_000  # of a tenant, as many as a set of questions may have
Verdict = Literal["up", "down"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """A verdict about the answer that a run gave to a question; see `AnswerRating` for the parts.

    `comment` and `expected` are None where they are to stay as they are.
    """

    run_id: str
    conversation_id: str
    rating: Verdict
    question: str
    answer: str
    answered: bool
    stands_alone: bool
    sources: Sequence[str] = ()
    comment: str | None = None
    expected: str | None = None


def rate(session: Session, ctx: TenantContext, rating: Rating) -> AnswerRating:
    """Note it, in place of what was said of that answer before; flushed, not committed.

    Raises:
        Conflict: the tenant has as many as it may.
    """
    row = _locked(session, ctx, rating.run_id) or _added(session, ctx, rating)
    stays = row.rating == rating.rating
    for name, value in _parts(rating).items():
        setattr(row, name, value)
    row.comment = (row.comment if stays else "") if rating.comment is None else rating.comment
    row.expected = (row.expected if stays else "") if rating.expected is None else rating.expected
    row.rated_at = now()
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


def forget_all(session: Session, ctx: TenantContext, run_ids: Sequence[str]) -> None:
    """Forget what was said of the answers of these runs."""
    for ids in in_batches(run_ids):
        session.execute(scoped_delete(ctx, AnswerRating).where(AnswerRating.run_id.in_(ids)))


def forget_older(session: Session, keep_days: float) -> int:
    """Forget what was said more than *keep_days* ago, of all tenants; how many ratings that were."""
    old = AnswerRating.rated_at < now() - timedelta(days=keep_days)
    return int(session.execute(delete_everywhere(AnswerRating).where(old)).rowcount)  # type: ignore[attr-defined] # as above


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


def _parts(rating: Rating) -> dict[str, Any]:
    """All but the words, which may be left out."""
    told = {part.name: getattr(rating, part.name) for part in fields(rating)}
    del told["comment"], told["expected"]
    return {**told, "sources": list(rating.sources)}


def _locked(session: Session, ctx: TenantContext, run_id: str) -> AnswerRating | None:
    return session.scalar(scoped(ctx, AnswerRating).where(AnswerRating.run_id == run_id).with_for_update())


def _added(session: Session, ctx: TenantContext, rating: Rating) -> AnswerRating:
    if (session.scalar(scoped_count(ctx, AnswerRating)) or 0) >= MOST_RATINGS:
        raise Conflict(f"There are {MOST_RATINGS:,} ratings already: `flask ratings --forget` makes room.")
    row = AnswerRating(tenant_id=ctx.tenant_id, comment="", expected="", **_parts(rating))
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:  # another verdict about it came in between, which may be gone again
        return _locked(session, ctx, rating.run_id) or _added(session, ctx, rating)
    return row

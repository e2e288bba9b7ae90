"""The whole move: nothing is begun that is refused, nothing is called finished that was not compared."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from bootstrap.data_folder import open_data_folder
from bootstrap.relocation.choice import Moves, chosen_roles, open_moves
from bootstrap.relocation.journal import Journal, Plan
from bootstrap.relocation.report import Check, Direction, Look, Progress, Report, listed
from config import Settings
from utils.errors import Conflict, NotFound, StoreUnavailable
from utils.processes import StartError


async def relocate(
    settings: Settings, direction: Direction, *, only: Collection[str], dry_run: bool, progress: Progress
) -> Report:
    """Copy an installation to the other side and compare the two; *dry_run* ends before the first change.

    *only*: of the roles that are configured, those; all of them when it is empty. The source is left as it is, but for
    the migrations that a start of the service would do. A move that was broken off is continued by the same call.

    Raises:
        ProblemError: it cannot be done and nothing was changed, or a store failed on the way.
        StartError: the data folder is in use, or something embedded does not start.
    """
    roles = chosen_roles(settings, only)
    with _in_words():
        async with AsyncExitStack() as stack:
            folder = _held_folder(stack, settings, direction)
            moves = await open_moves(stack, settings, direction, roles)
            looks = [await move.look() for move in moves.in_order]
            journal, plan = Journal(folder), _plan(direction, looks)
            continued = journal.continues(plan)
            if not continued:
                _refuse(looks)
            checks = [] if dry_run else await _carry_out(moves, journal, plan, progress)
    return Report(
        direction=direction,
        dry_run=dry_run,
        continued=continued,
        looks=tuple(looks),
        checks=tuple(checks),
        notes=tuple(_notes(settings, direction, moves)),
    )


def _held_folder(stack: AsyncExitStack, settings: Settings, direction: Direction) -> Path:
    """The data folder, ours alone until the end, so that no service works on it meanwhile."""
    if direction is Direction.PRODUCTION and not settings.data_dir.is_dir():
        raise NotFound(f"DATA_DIR: there is no folder {settings.data_dir}, so there is nothing to move.")
    try:
        return stack.enter_context(open_data_folder(settings.data_dir)).path
    except StartError as exc:
        raise StartError(f"Stop the service first: {exc}") from exc


def _plan(direction: Direction, looks: Sequence[Look]) -> Plan:
    """What an interrupted move is recognised by: which way, and from where to where."""
    return {"to": direction.value, "stores": {look.role: [look.from_place, look.to_place] for look in looks}}


def _refuse(looks: Sequence[Look]) -> None:
    """Let a move begin only with something to move and with targets that are empty.

    Raises:
        Conflict: they are not.
        NotFound: there is nothing to move.
    """
    taken = [
        f"{look.to_place} already holds {listed(look.target)}, and nothing is overwritten: {look.way_out}, "
        f"or leave the {look.role} out by naming the others with --only."
        for look in looks
        if not look.is_free
    ]
    if taken:
        raise Conflict("\n".join(taken))
    if not any(any(look.source.values()) for look in looks):
        places = ", ".join(look.from_place for look in looks)
        raise NotFound(f"There is nothing to move: {places} held nothing. Check DATA_DIR and --to.")


async def _carry_out(moves: Moves, journal: Journal, plan: Plan, progress: Progress) -> list[Check]:
    """Copy and compare; the journal ends when everything is alike."""
    await _begin(moves, journal, plan)
    if moves.records is not None:
        moves.records.unindexed = moves.unindexed
    for move in moves.in_order:
        await move.copy(progress)
    checks = [check for move in moves.in_order for check in await move.check()]
    if all(check.ok for check in checks):
        journal.end()
    return checks


async def _begin(moves: Moves, journal: Journal, plan: Plan) -> None:
    """Make the targets ready. Noted before, since an index that was made is otherwise one that is in the way."""
    continued = journal.continues(plan)
    journal.begin(plan)
    try:
        for move in moves.in_order:
            await move.prepare()
    except Exception:
        if not continued:  # nothing is in the targets yet
            journal.end()
        raise


def _notes(settings: Settings, direction: Direction, moves: Moves) -> Iterator[str]:
    if moves.unindexed:
        yield (
            "There is no index to move for the present embedding model: the service computes the vectors after its "
            "next start, and finds the passages by their words until then."
        )
    if moves.conversations is not None:
        yield "Leases and rate limits are not moved: they end by themselves within the hour."
    if direction is Direction.EMBEDDED:
        yield "To use the embedded stores, unset the variables that name the others, then start the service."
    else:
        yield f"What is in {settings.data_dir} was left as it is: a copy to go back to, until you remove it."


@contextmanager
def _in_words() -> Iterator[None]:
    """A store that fails on the way becomes one line, without its driver's words: they may hold a password."""
    try:
        yield
    except RedisError as exc:
        raise StoreUnavailable(_failed("REDIS_URL, DATA_DIR: the conversation store", exc)) from exc
    except SQLAlchemyError as exc:
        raise StoreUnavailable(_failed("DATABASE_URI, DATA_DIR: the database", exc)) from exc
    except OSError as exc:
        raise StoreUnavailable(f"DATA_DIR: {exc.strerror or type(exc).__name__}. {_AGAIN}") from exc


_AGAIN = "When that is mended, run the same command again: it continues."


def _failed(what: str, exc: Exception) -> str:
    return f"{what} failed ({type(exc).__name__}). {_AGAIN}"

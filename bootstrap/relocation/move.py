"""The whole move: nothing is begun that is refused, nothing is called finished that was not compared."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from bootstrap.data_folder import open_data_folder
from bootstrap.relocation.conversations import ConversationsMove, open_conversations_move
from bootstrap.relocation.passages import PassagesMove, open_passages_move
from bootstrap.relocation.records import RecordsMove, open_both_records
from bootstrap.relocation.report import (
    CONVERSATIONS,
    PASSAGES,
    RECORDS,
    Direction,
    Progress,
    Report,
    StoreComparison,
    StoreCounts,
    format_counts,
)
from bootstrap.relocation.stores import choose_roles, order_ends
from config import Settings
from utils.errors import BadInput, Conflict, NotFound, StoreUnavailable
from utils.private_files import replace_file
from utils.processes import StartError

Move = PassagesMove | ConversationsMove | RecordsMove
Plan = Mapping[str, object]
_PLAN_FILE = "migration.json"
_AGAIN = "When that is mended, run the same command again: it continues."


async def relocate(
    settings: Settings, direction: Direction, *, only: Collection[str], dry_run: bool, progress: Progress
) -> Report:
    """Copy an installation to the other side and compare the two; *dry_run* ends before the first change.

    *only*: of the roles that are configured, those; all of them when it is empty. The source is left as it is, but for
    the migrations that a start of the service would do. An interrupted move is continued by the same call.

    Raises:
        ProblemError: it cannot be done and nothing was changed, or a store failed on the way.
        StartError: the data folder is in use, or something embedded does not start.
    """
    roles = choose_roles(settings, only)
    with _explain_failures():
        async with AsyncExitStack() as stack:
            folder = _lock_folder(stack, settings, direction)
            moves = await _open_moves(stack, settings, direction, roles)
            stores = [await move.count() for move in moves]
            unfinished, plan = UnfinishedMove(folder), _make_plan(direction, stores)
            continued = unfinished.matches(plan)
            if not continued:
                _refuse(stores)
            checks = [] if dry_run else await _carry_out(moves, unfinished, plan, progress)
    return Report(
        direction=direction,
        dry_run=dry_run,
        continued=continued,
        stores=tuple(stores),
        checks=tuple(checks),
        notes=tuple(_list_notes(settings, direction, moves)),
    )


class UnfinishedMove:
    """`migration.json` in the data folder, from before the first change of a target until everything was compared.

    It tells stores that an interrupted move has filled from those that somebody else did.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _PLAN_FILE

    def matches(self, plan: Plan) -> bool:
        """Whether *plan*, which must survive JSON unchanged, has been begun and not finished.

        Raises:
            Conflict: another move has.
        """
        if not self._path.exists():
            return False
        begun = self._read()
        if begun != plan:
            raise Conflict(
                f"Another move was begun and not finished: {json.dumps(begun)}. Finish it with the settings and "
                f"options it had, or remove {self._path} to give it up."
            )
        return True

    def begin(self, plan: Plan) -> None:
        """Note that *plan* is under way; on disk on return."""
        begun = {"plan": plan, "began_at": datetime.now(UTC).isoformat(timespec="seconds")}
        replace_file(self._path, json.dumps(begun, indent=2).encode())

    def end(self) -> None:
        """The move is finished."""
        self._path.unlink(missing_ok=True)

    def _read(self) -> object:
        try:
            return json.loads(self._path.read_text(encoding="utf-8"))["plan"]
        except (ValueError, TypeError, LookupError):
            return "unreadable"  # somebody else's file is no permission to fill a store that holds something


def _lock_folder(stack: AsyncExitStack, settings: Settings, direction: Direction) -> Path:
    """The data folder, ours alone until the end, so that no service works on it meanwhile."""
    if direction is Direction.PRODUCTION and not settings.data_dir.is_dir():
        raise NotFound(f"DATA_DIR: there is no folder {settings.data_dir}, so there is nothing to move.")
    try:
        return stack.enter_context(open_data_folder(settings.data_dir)).path
    except StartError as exc:
        raise StartError(f"Stop the service first: {exc}") from exc


async def _open_moves(
    stack: AsyncExitStack, settings: Settings, direction: Direction, roles: Collection[str]
) -> list[Move]:
    """The moves of *roles*, in the order of `ROLES`; their stores are closed with *stack*.

    Raises:
        BadInput: DATABASE_URI is the embedded database itself.
    """
    both = open_both_records(stack, settings)
    if RECORDS in roles and both[0].name == both[1].name:
        raise BadInput(f"DATABASE_URI names {both[0].name}, which is the embedded database itself.")
    records = order_ends(direction, *both)
    moves: list[Move] = []
    if PASSAGES in roles:  # of the tenants on either side, since records may be moved before the passages or after
        moves.append(await open_passages_move(stack, settings, direction, records))
    if CONVERSATIONS in roles:
        moves.append(open_conversations_move(stack, settings, direction))
    if RECORDS in roles:
        moves.append(RecordsMove(*records))
    return moves


def _make_plan(direction: Direction, stores: Sequence[StoreCounts]) -> Plan:
    """What an interrupted move is recognised by: which way, and from where to where."""
    return {"to": direction.value, "stores": {store.role: [store.from_place, store.to_place] for store in stores}}


def _refuse(stores: Sequence[StoreCounts]) -> None:
    """Let a move begin only with something to move and with targets that are empty.

    Raises:
        Conflict: they are not.
        NotFound: there is nothing to move.
    """
    problems = [
        f"{store.to_place} already holds {format_counts(store.target)}, and nothing is overwritten: {store.remedy}, "
        f"or leave the {store.role} out by naming the others with --only."
        for store in stores
        if any(store.target.values())
    ]
    if problems:
        raise Conflict("\n".join(problems))
    if not any(any(store.source.values()) for store in stores):
        places = ", ".join(store.from_place for store in stores)
        raise NotFound(f"There is nothing to move: {places} held nothing. Check DATA_DIR and --to.")


async def _carry_out(
    moves: Sequence[Move], unfinished: UnfinishedMove, plan: Plan, progress: Progress
) -> list[StoreComparison]:
    """Copy and compare; the move is finished when everything is alike."""
    await _prepare(moves, unfinished, plan)
    for move in moves:
        if isinstance(move, RecordsMove):
            move.unindexed = _lacks_index(moves)
        await move.copy(progress)
    checks = [check for move in moves for check in await move.compare()]
    if all(check.ok for check in checks):
        unfinished.end()
    return checks


async def _prepare(moves: Sequence[Move], unfinished: UnfinishedMove, plan: Plan) -> None:
    """Make the targets ready. Noted before, since an index that was made is otherwise one that is in the way."""
    continued = unfinished.matches(plan)
    unfinished.begin(plan)
    try:
        for move in moves:
            await move.prepare()
    except Exception:
        if not continued:  # nothing is in the targets yet
            unfinished.end()
        raise


def _lacks_index(moves: Sequence[Move]) -> bool:
    """Whether passages should be moved and there is no index to take them from."""
    return any(isinstance(move, PassagesMove) and move.lacks_index for move in moves)


def _list_notes(settings: Settings, direction: Direction, moves: Sequence[Move]) -> Iterator[str]:
    if _lacks_index(moves):
        yield (
            "There is no index to move for the present embedding model: the service computes the vectors after its "
            "next start, and finds the passages by their words until then."
        )
    if any(isinstance(move, ConversationsMove) for move in moves):
        yield "Leases and rate limits are not moved: they end by themselves within the hour."
    if direction is Direction.EMBEDDED:
        yield "To use the embedded stores, unset the variables that name the others, then start the service."
    else:
        yield f"What is in {settings.data_dir} was left as it is: a copy to go back to, until you remove it."


@contextmanager
def _explain_failures() -> Iterator[None]:
    """A store that fails on the way becomes one line, without its driver's words: they may hold a password."""
    try:
        yield
    except RedisError as exc:
        store = "REDIS_URL, DATA_DIR: the conversation store"
        raise StoreUnavailable(f"{store} failed ({type(exc).__name__}). {_AGAIN}") from exc
    except SQLAlchemyError as exc:
        store = "DATABASE_URI, DATA_DIR: the database"
        raise StoreUnavailable(f"{store} failed ({type(exc).__name__}). {_AGAIN}") from exc
    except OSError as exc:
        raise StoreUnavailable(f"DATA_DIR: {exc.strerror or type(exc).__name__}. {_AGAIN}") from exc

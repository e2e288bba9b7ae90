"""What there is to say of the indexes; read from SQL and the data folder, so that no engine has to be opened."""

import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from bootstrap.stores import index_folder
from config import Settings
from domain.db import Database
from domain.indexes import IndexProgress, list_indexes, measure_progress
from domain.models import IndexRow

_BYTES_A_NUMBER = 4


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """One index. `share` of its work is done, 0 to 1: of the words and of the vectors of its passages.

    `size_bytes` is measured on disk where the engine runs here, else worked out of its vectors alone.
    """

    number: int
    state: str
    model: str
    dimension: int
    place: str
    lexical_version: str
    chunking_version: str
    passages: int
    words: int
    vectors: int
    share: float
    size_bytes: int
    is_measured: bool
    made_at: str
    served_at: str | None
    left_at: str | None
    note: str

    def as_json(self) -> dict[str, object]:
        """For programs."""
        return asdict(self) | {"recipe": self.lexical_version, "cut": self.chunking_version}  # as before


def read_indexes(settings: Settings, database: Database) -> list[IndexStatus]:
    """All of them, oldest first."""
    with database.open_read_session() as session:
        return [_make_status(settings, row, measure_progress(session, row)) for row in list_indexes(session)]


def _make_status(settings: Settings, row: IndexRow, done: IndexProgress) -> IndexStatus:
    is_here = settings.qdrant_url is None
    folder = index_folder(settings, settings.data_dir, row.model, row.number)
    return IndexStatus(
        number=row.number,
        state=row.state,
        model=row.model,
        dimension=row.dimension,
        place=row.base_url or "the service itself",
        lexical_version=row.lexical_version,
        chunking_version=row.chunking_version,
        passages=done.passages,
        words=done.words,
        vectors=done.vectors,
        share=done.share,
        size_bytes=_measure_folder(folder) if is_here else done.vectors * row.dimension * _BYTES_A_NUMBER,
        is_measured=is_here,
        made_at=row.made_at.isoformat(),
        served_at=row.served_at.isoformat() if row.served_at else None,
        left_at=row.left_at.isoformat() if row.left_at else None,
        note=row.note,
    )


def _measure_folder(folder: Path) -> int:
    """Bytes that are taken, of files that may come and go meanwhile; the engine makes them with holes."""
    total = 0
    for place, _, names in os.walk(folder):  # passes over folders that are gone
        for name in names:
            with suppress(OSError):
                total += (Path(place) / name).lstat().st_blocks * 512
    return total

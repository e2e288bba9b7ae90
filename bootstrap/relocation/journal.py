"""What an interrupted move leaves in the data folder, so that it can be told from stores that somebody else filled."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from utils.errors import Conflict

_NAME = "migration.json"

Plan = Mapping[str, object]


class Journal:
    """`migration.json`: written before the first change of a target, removed when everything was compared."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _NAME

    def continues(self, plan: Plan) -> bool:
        """Whether *plan*, which must survive JSON unchanged, has been begun and not finished.

        Raises:
            Conflict: another move has.
        """
        begun = self._read()
        if begun is None:
            return False
        if begun.get("plan") != plan:
            raise Conflict(
                f"Another move was begun and not finished: {json.dumps(begun.get('plan'))}. Finish it with the "
                f"settings and options it had, or remove {self._path} to give it up."
            )
        return True

    def begin(self, plan: Plan) -> None:
        """Note that *plan* is under way; on disk on return."""
        text = json.dumps({"plan": plan, "began_at": datetime.now(UTC).isoformat(timespec="seconds")}, indent=2)
        draft = self._path.with_suffix(".new")
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
        _sync_folder(self._path.parent)

    def end(self) -> None:
        """The move is finished."""
        self._path.unlink(missing_ok=True)

    def _read(self) -> dict[str, object] | None:
        with suppress(FileNotFoundError):
            try:
                begun = json.loads(self._path.read_text(encoding="utf-8"))
            except ValueError:
                begun = None
            # Something stands there that we did not write whole: it is no permission to fill a store that holds things.
            return begun if isinstance(begun, dict) else {"plan": "unreadable"}
        return None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""A process that wants to lead, and writes down when it does: `python -m tests.domain.witness <uri> <folder>`."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from domain.db_opening import open_database
from domain.leadership import Leadership


class Witness:
    """Work whose every step sees whether another process does it too."""

    def __init__(self, folder: Path, name: str) -> None:
        self._here, self._log, self._name = folder / "at-work", folder / "witness.log", name

    async def work(self) -> None:
        """Be at work until cancelled."""
        self._note("begins")
        try:
            while True:
                self._look()
                self._here.write_text(self._name)
                await asyncio.sleep(0.01)
                self._look()
        finally:
            self._note("ends")
            self._here.unlink(missing_ok=True)

    def _look(self) -> None:
        there = self._here.read_text() if self._here.exists() else ""
        if there not in ("", self._name) and _runs(int(there)):
            self._note(f"meets {there}")

    def _note(self, what: str) -> None:
        with self._log.open("a") as log:
            log.write(f"{self._name} {what}\n")


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def _main(uri: str, folder: Path) -> None:
    database = open_database(uri, pool_size=2)
    leadership = Leadership(database, folder=folder, poll_s=0.2)
    task = asyncio.ensure_future(leadership.lead(Witness(folder, str(os.getpid())).work))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        database.close()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], Path(sys.argv[2])))

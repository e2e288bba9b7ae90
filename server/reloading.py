"""A reload of gunicorn: which settings it applies, which need a restart, and how `pustaka reload` hears of both.

gunicorn's master reads the settings at its start and at each reload, before it forks workers; these begin with what it
read. It notes each reload in a file of DATA_DIR, in which `pustaka reload` finds its process and the result.
"""

import json
import logging
import os
import signal
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from config import Settings, load_settings
from utils.private_files import ensure_private_folder, replace_file
from utils.processes import StartError

logger = logging.getLogger(__name__)

NOTE = "gunicorn.json"
NOT_RELOADED = "Not reloaded, the service goes on as it was"
_POLL_S = 0.05
_Values = tuple[dict[str, Any], set[str]]  # values by field, and the fields that were set
# During a reload old workers and new ones serve side by side, so they must have the same stores; and a listening socket
# that is replaced would refuse connections meanwhile.
_UNTIL_RESTART = (
    "host", "port", "ssl_cert_path", "ssl_key_path",
    "data_dir", "prometheus_multiproc_dir", "redis_url", "redis_host", "redis_port", "redis_db",
    "redis_username", "redis_password", "redis_tls", "database_uri", "qdrant_url", "qdrant_collection_name",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Note:
    """What a master notes: its process, how often it was asked to reload, and the result of the last time.

    `taken_up` and `needs_restart` are names of variables; `refused` says why nothing was reloaded, "" where it was.
    """

    pid: int
    began_at: str
    reloads: int = 0
    taken_up: list[str] = field(default_factory=list)
    needs_restart: list[str] = field(default_factory=list)
    refused: str = ""

    def describe(self) -> str:
        """The last reload in words."""
        if self.refused:
            return f"{NOT_RELOADED}: {self.refused}"
        changed = f"Changed: {', '.join(self.taken_up)}." if self.taken_up else "No setting has changed."
        rest = f" Changed, but not before a restart: {', '.join(self.needs_restart)}." if self.needs_restart else ""
        return f"Reloaded. {changed}{rest}"


class Reloading:
    """The settings of a master and its workers, from its start on."""

    def __init__(self) -> None:
        self._first: Settings | None = None
        self._now: Settings | None = None
        self.workers: int | None = None  # how many there are, where gunicorn was told otherwise
        self.note = Note(os.getpid(), "")

    def hand_over(self) -> _Values | None:
        """The settings as plain values, for a worker that imports all of ours again; None where there is no master."""
        if self._now is None:
            return None
        now = self._now.model_copy(update={"workers": self.workers}) if self.workers else self._now
        return {name: getattr(now, name) for name in type(now).model_fields}, now.model_fields_set

    def receive(self, values: _Values | None) -> None:
        """Take the settings of the master, which has checked them; a file that is being edited is not read again."""
        if values:
            self._now = Settings.model_construct(_fields_set=values[1], **values[0])

    def load_current(self) -> Settings:
        """The settings of a worker: its master's, else what is set now.

        Raises:
            SettingsError: a value cannot be used.
        """
        return self._now or load_settings()

    def read(self) -> Settings:
        """The settings as they are set now; in a master, those that need a restart as they were at its start.

        Raises:
            SettingsError: a value cannot be used.
        """
        fresh = load_settings()
        if self._first is None or self._now is None:  # the start itself, and `validate.py`
            return fresh
        waiting = [name for name in _UNTIL_RESTART if getattr(fresh, name) != getattr(self._first, name)]
        read = fresh.model_copy(update={name: getattr(self._first, name) for name in _UNTIL_RESTART})
        changed = [name for name in Settings.model_fields if getattr(read, name) != getattr(self._now, name)]
        self.note = replace(
            self.note, taken_up=[*map(str.upper, changed)], needs_restart=[*map(str.upper, waiting)], refused=""
        )
        return read

    def begin(self, settings: Settings) -> None:
        """Note that this process is the master, and serves with *settings*.

        Raises:
            StartError: DATA_DIR cannot be used.
            OSError: nothing can be written there.
        """
        self._first = self._now = settings
        self.note = Note(os.getpid(), _read_start(os.getpid()))
        self._write_note(ensure_private_folder(settings.data_dir, variable="DATA_DIR"))

    def finish(self, settings: Settings) -> None:
        """Note that *settings*, the last that were read, are in use."""
        self._now = settings
        self.note = replace(self.note, reloads=self.note.reloads + 1)
        self._keep_note(settings.data_dir)

    def refuse(self, reason: str) -> None:
        """Note that nothing was reloaded."""
        self.note = replace(self.note, reloads=self.note.reloads + 1, refused=reason)
        if self._first is not None:
            self._keep_note(self._first.data_dir)

    def _keep_note(self, folder: Path) -> None:
        try:
            self._write_note(folder)
        except OSError as exc:  # gunicorn would end the service for it
            logger.error("What came of the reload cannot be noted in %s, for `pustaka reload`: %s", folder, exc)

    def _write_note(self, folder: Path) -> None:
        replace_file(folder / NOTE, json.dumps(asdict(self.note)).encode())


# The one of this process. gunicorn runs its configuration again at each reload, so it cannot be kept there.
reloading = Reloading()


class NotUnderGunicorn(StartError):
    """No service whose settings can be reloaded runs on the data folder."""


def ask_for_reload(folder: Path, timeout_s: float) -> Note:
    """Let the gunicorn whose data folder is *folder* reload, and wait for the result.

    Raises:
        NotUnderGunicorn: none runs there.
        StartError: it did not answer in time.
    """
    before = _read_note(folder)
    if before is None or not _is_running(before):
        raise NotUnderGunicorn(f"No service under gunicorn runs on {folder}.")
    os.kill(before.pid, signal.SIGHUP)
    deadline = time.monotonic() + timeout_s
    while True:
        note = _read_note(folder)
        if note and note.pid == before.pid and note.reloads > before.reloads:
            return note
        if not _is_running(before):
            raise StartError("The service ended while it was reloaded: its log says why.")
        if time.monotonic() > deadline:
            raise StartError(f"The service did not reload within {timeout_s:.0f} s: its log says why.")
        time.sleep(_POLL_S)


def _read_note(folder: Path) -> Note | None:
    try:
        return Note(**json.loads((folder / NOTE).read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as exc:
        raise StartError(f"{folder / NOTE} cannot be read ({type(exc).__name__}): restart the service.") from exc


def _is_running(note: Note) -> bool:
    """Whether the master of *note* lives: its process id may by now be that of another process."""
    try:
        os.kill(note.pid, 0)
    except OSError:
        return False
    # systemd's ProtectProc= hides processes that may not be debugged, as ours are, also from their own user.
    return _read_start(note.pid) in (note.began_at, "")


def _read_start(pid: int) -> str:
    """When a process began, in ticks since the machine did; "" where that cannot be seen."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]  # proc_pid_stat(5), number 22
    return ""

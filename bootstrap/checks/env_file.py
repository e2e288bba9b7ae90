"""`.env`: who may read it, and names in it that look like slips of the pen. Values are never shown."""

import difflib
import stat
from collections.abc import Iterator
from pathlib import Path

from dotenv import dotenv_values

from bootstrap.checks.finding import Finding, ok, warning
from bootstrap.checks.running import Check
from bootstrap.checks.settings import Installation, variables

_ALIKE = 0.8
_OF_THE_PAGE = ("API_URL",)  # read by the chat page alone


def checks(_: Installation) -> list[Check]:
    """The check of the file that a service started in this folder reads."""
    return [Check(".env", lambda: _look(Path(".env")))]


def _look(path: Path) -> Iterator[Finding]:
    if not path.is_file():
        yield ok(".env", f"there is none in {path.absolute().parent}: variables come from the environment alone")
        return
    findings = [*_permissions(path), *_slips(path)]
    yield from findings or [ok(".env", f"{path.absolute()}, for its owner alone")]


def _permissions(path: Path) -> Iterator[Finding]:
    mode = path.stat().st_mode
    if mode & (stat.S_IRGRP | stat.S_IROTH):
        found = f"Other users of this machine may read {path.absolute()} (mode {stat.S_IMODE(mode):o}), keys included."
        yield warning(".env", found, f"chmod 600 {path.absolute()}")


def _slips(path: Path) -> Iterator[Finding]:
    known = {*variables(), *_OF_THE_PAGE}
    for name in dotenv_values(path, interpolate=False):
        if name.upper() in known:
            continue
        # A name that is like none of ours may belong to another program, or be a value that lost its name: not shown.
        alike = difflib.get_close_matches(name.upper(), known, n=1, cutoff=_ALIKE)
        if alike:
            yield warning(name, "This variable in .env is not known to the service.", f"Is {alike[0]} meant?")

"""The operator's check: `python3 validate.py` looks at everything that an installation of the service needs, and
changes nothing. Exit code 0: it can be used, perhaps with warnings. 1: something fails.

It begins with the standard library alone, so that it can say which packages are missing.
"""

import argparse
import logging
import os
import shutil
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from bootstrap.installation import UnitSettings

OLDEST = (3, 11)
ROOT = Path(__file__).resolve().parent
VENV_PYTHON = ROOT / ".venv" / "bin" / "python"
WIDTH = 100


def main() -> int:
    """Look, print what was found, and give the exit code."""
    os.umask(0o077)
    if should_change_interpreter():
        os.execv(VENV_PYTHON, [str(VENV_PYTHON), *sys.argv])  # noqa: S606 - our own interpreter
    if sys.version_info < OLDEST:
        print(f"Python {'.'.join(map(str, OLDEST))} or newer is needed, this is {sys.version.split()[0]}:")
        print("install it and run `make install`, then `.venv/bin/python validate.py`.")
        return 1
    arguments = _arguments()
    from bootstrap.installation import (  # an older Python could not read it
        NotAllowed,
        enter_installation,
        remove_shell_settings,
    )

    try:
        entered = enter_installation(ROOT)
    except NotAllowed as exc:
        print(exc, file=sys.stderr)
        return 1
    if entered is None and (stray := remove_shell_settings()):
        print(stray, file=sys.stderr)
    # What libraries log or warn of is not for here, and may hold anything.
    logging.disable()
    warnings.simplefilter("ignore")
    return _report(arguments, entered)


def _report(arguments: argparse.Namespace, entered: Optional["UnitSettings"]) -> int:
    from bootstrap.checks.output import count_levels, format_json, format_table
    from bootstrap.checks.table import CHECKS, run_checks
    from utils.findings import Level

    only = [name.capitalize() for name in arguments.only]
    if unknown := set(only) - set(CHECKS):
        print(f"There is no group {', '.join(sorted(unknown))}, but {', '.join(CHECKS)}.", file=sys.stderr)
        return 2
    began = time.monotonic()
    groups = run_checks(ROOT, offline=arguments.offline, only=only, entered=entered)
    levels = count_levels(groups)
    passed = not levels[Level.FAILURE] and not (arguments.strict and levels[Level.WARNING])
    seconds = time.monotonic() - began
    if arguments.json:
        print(format_json(groups, passed=passed, seconds=seconds))
    else:
        is_terminal = sys.stdout.isatty()
        width = min(WIDTH, shutil.get_terminal_size().columns) if is_terminal else WIDTH
        print(format_table(groups, passed=passed, seconds=seconds, width=width, coloured=is_terminal))
    return 0 if passed else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="validate.py", description="Look at everything an installation of the service needs; change nothing."
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--strict", action="store_true", help="exit with 1 for warnings too")
    parser.add_argument("--offline", action="store_true", help="do not ask the configured servers and endpoints")
    parser.add_argument("--only", action="append", default=[], metavar="GROUP", help="a group of checks; repeatable")
    return parser.parse_args()


def should_change_interpreter() -> bool:
    """Whether this is the system's Python, while the service has an environment of its own beside it."""
    return sys.prefix == sys.base_prefix and os.access(VENV_PYTHON, os.X_OK)


def _leave(code: int) -> None:
    """End, also while a check still hangs in a thread that Python would wait for."""
    sys.stdout.flush()
    if threading.active_count() > 1:
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a terminal that knows ASCII alone gets its table too
    try:
        _leave(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # `| head` has seen enough
        os._exit(1)

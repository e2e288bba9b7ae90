#!/usr/bin/env python3
"""The operator's command, `pustaka`: `run`, `validate`, `reload`, and all that `flask` has, such as `load`, `api-key`.

It takes the settings and the user of the installation whose sources it stands among: those of the systemd unit that
runs them, else the project's `.env`. Linked as /usr/local/bin/pustaka it can be typed anywhere. It begins with the
standard library alone: `.venv` may be another Python's, and `validate` says which packages are missing.
"""

import os
import sys
from pathlib import Path

import validate

ROOT = Path(__file__).resolve().parent


def main() -> int:
    """Do what the first argument says; the exit code."""
    if validate.should_change_interpreter():
        os.execv(validate.VENV_PYTHON, [str(validate.VENV_PYTHON), *sys.argv])  # noqa: S606 - our own interpreter
    if sys.argv[1:2] == ["validate"]:
        del sys.argv[1]
        return validate.main()
    try:
        from cli.installation import commands
    except ImportError as exc:
        print(f"{exc.name} cannot be imported: `make -C {ROOT} install` installs what is missing.", file=sys.stderr)
        return 1
    commands(prog_name="pustaka")
    return 0


if __name__ == "__main__":
    sys.exit(main())

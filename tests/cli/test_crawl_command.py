"""`flask crawl` through Flask's own command line, on a site of our own."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask

from cli.commands import register_commands
from config import Settings
from domain.db_opening import open_database
from tests.domain.records import two_tenants
from tests.fakes.website import Page, Website, html

Run = Callable[..., Result]
HOURS = "The observatory on the hill is open to visitors on the last Friday of each month."


@pytest.fixture(scope="module")
def site() -> Iterator[Website]:
    with Website() as website:
        website.pages["/"] = html("Observatory", HOURS, links=("/more", "/away"))
        website.pages["/more"] = html("More", HOURS.replace("Friday", "Sunday"))
        website.pages["/away"] = Page(status=404)
        yield website


@pytest.fixture
def run(tmp_path: Path, site: Website, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `flask <arguments>`; the database is empty, and the site's address may be crawled."""
    monkeypatch.chdir(tmp_path)
    two_tenants(f"sqlite:///{tmp_path / 'pustaka.db'}").close()
    settings = Settings(data_dir=tmp_path, crawl_networks=["127.0.0.1"], crawl_ports=[80, site.port], crawl_delay=0)
    app = Flask("pustaka")
    app.extensions |= {"settings": settings, "open_database": lambda: open_database(settings.database_address)}
    register_commands(app)
    return lambda *arguments: app.test_cli_runner().invoke(args=list(map(str, arguments)))


def test_a_site_is_read_listed_and_forgotten_for_one_tenant(run: Run, site: Website) -> None:
    done = run("crawl", f"{site.url}/?utm_source=x", "--every", "24", "--tenant", "acme")
    assert (done.exit_code, done.stdout.splitlines()) == (
        0,
        [f"Skipped: {site.url}/away: It answers 404.", "2 added, 1 skipped"],
    )
    listed = run("crawl", "--tenant", "acme")
    assert listed.stdout.split() == ["completed", "every", "24", "h", f"{site.url}/", *["2", "added,", "1", "skipped"]]
    assert run("crawl", "--tenant", "globex").stdout == "No web sources.\n"
    assert [one["source"] for one in json.loads(run("documents", "--tenant", "acme", "--json").stdout)] == [
        f"127.0.0.1:{site.port}",
        f"127.0.0.1:{site.port}/more",
    ]
    elsewhere = run("crawl", f"{site.url}/", "--remove", "--tenant", "globex")
    assert (elsewhere.exit_code, elsewhere.stderr) == (1, f"Error: There is no web source at {site.url}/.\n")
    assert run("crawl", f"{site.url}/", "--remove", "--tenant", "acme").stdout == "2 documents removed\n"
    assert run("crawl", "--tenant", "acme").stdout == "No web sources.\n"
    assert run("documents", "--tenant", "acme").stdout == "No documents.\n"


def test_a_port_that_is_not_allowed_is_named_with_those_that_are(run: Run, site: Website) -> None:
    refused = run("crawl", "http://127.0.0.1:22/")
    assert (refused.exit_code, refused.stderr) == (
        1,
        f"Port 22 is not allowed, only 80, {site.port} are. The operator sets them with CRAWL_PORTS.\n",
    )


def test_one_page_is_read_with_its_result_for_programs(run: Run, site: Website) -> None:
    told = json.loads(run("crawl", f"{site.url}/more", "--page", "--json").stdout)
    assert (told["state"], told["kind"], told["counts"], told["every_s"]) == ("completed", "page", {"added": 1}, None)
    assert json.loads(run("crawl", "--json").stdout) == [told]


def test_what_is_wrong_with_an_address_is_one_line_and_exit_code_1(run: Run) -> None:
    inside = run("crawl", "http://127.0.0.2/")
    assert inside.exit_code == 1
    assert "It leads to an address that is not on the public internet." in inside.stderr
    nonsense = run("crawl", "nonsense")
    assert (nonsense.exit_code, nonsense.stderr) == (
        1,
        "Error: nonsense: It does not begin with http:// or https://.\n",
    )

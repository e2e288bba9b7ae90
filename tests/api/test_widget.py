"""The chat for websites as it is served: one small file, which pages of any site may load."""

import gzip
import json
import re

import httpx
import pytest

from api.widget import FOLDER

LARGEST_BYTES = 40_000
PLACEHOLDER = re.compile(r"\{\w+\}")


def test_the_widget_is_one_small_file_that_any_page_may_load(client: httpx.Client) -> None:
    packed = client.get("/widget.js", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert int(packed.headers["Content-Length"]) < LARGEST_BYTES
    assert len(gzip.compress(packed.content, 9)) < LARGEST_BYTES
    plain = client.get("/widget.js", headers={"Accept-Encoding": "identity"})
    assert plain.content == packed.content
    assert plain.headers["ETag"] != packed.headers["ETag"]
    for answer in (packed, plain, client.get("/widget.css")):
        assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.headers["Cache-Control"] == "public, max-age=3600"
        assert "Accept-Encoding" in answer.headers["Vary"]
        same = client.get(answer.url.path, headers={"If-None-Match": answer.headers["ETag"], **answer.request.headers})
        assert (same.status_code, same.content) == (304, b"")


def test_nothing_of_the_widget_is_at_another_host_or_needs_a_policy_that_is_unsafe(client: httpx.Client) -> None:
    script = client.get("/widget.js").text
    addresses = set(re.findall(r"https?://[\w.]+", script))
    assert addresses == {"http://www.w3.org", "https://html.spec.whatwg.org"}  # a name of XML, and a comment
    for unsafe in (
        "eval(",
        "innerHTML",
        "insertAdjacentHTML",
        "document.write",
        "new Function",
        "cssText",
        "@import",
        "url(",
    ):
        assert unsafe not in script, unsafe
    assert not re.search(r"make\([^)]*style:", script)


def test_the_page_of_its_own_loads_the_same_and_nothing_else(client: httpx.Client) -> None:
    page = client.get("/chat", params={"bot": "acme/faq"})
    assert page.status_code == 200
    assert re.findall(r"<script ([^>]*)>([^<]*)</script>", page.text) == [
        ('src="widget.js" data-bot="acme/faq" data-page', "")
    ]
    assert 'src="../widget.js"' in client.get("/chat/").text
    assert 'data-bot="default/default"' in client.get("/chat").text
    assert "unsafe" not in page.headers["Content-Security-Policy"]


@pytest.mark.parametrize("query", ['bot="><script>', "bot=faq", "bot=", "bot=a/b/c", "other=1", "bot=a/b&bot=c/d"])
def test_the_page_of_its_own_takes_names_of_bots_alone(client: httpx.Client, query: str) -> None:
    refused = client.get(f"/chat?{query}")
    assert refused.status_code == 400
    assert "<script>" not in refused.text
    page = client.get(f"/chat?{query}", headers={"Accept": "text/html"})
    assert (page.status_code, page.headers["Content-Type"]) == (400, "text/html; charset=utf-8")
    assert "<script>" not in page.text
    assert ("/chat?bot=acme/admissions" in page.text) == (query not in ("other=1", "bot=a/b&bot=c/d"))


def test_every_text_is_in_every_language_and_used() -> None:
    texts: dict[str, dict[str, str]] = json.loads((FOLDER / "texts.json").read_text("utf-8"))
    assert set(texts) == {"en", "es", "id"}
    for language, said in texts.items():
        assert list(said) == list(texts["en"]), language
        for name, text in said.items():
            assert sorted(PLACEHOLDER.findall(text)) == sorted(PLACEHOLDER.findall(texts["en"][name])), (language, name)
    scripts = "".join(path.read_text("utf-8") for path in FOLDER.glob("*.js"))
    assert [name for name in texts["en"] if not re.search(rf"\b{name}\b", scripts)] == []

"""Texts that try to make a reader's browser ask another server for something, and the server that hears it."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Canary:
    """A server that nobody has a reason to ask; `heard` are the paths it was asked for."""

    url: str
    heard: list[str] = field(default_factory=list)


@contextmanager
def listening_canary() -> Iterator[Canary]:
    """A canary until the block is left."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            canary.heard.append(self.path)
            self.send_response(204)
            self.end_headers()

        do_POST = do_HEAD = do_OPTIONS = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        canary = Canary(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield canary
        finally:
            server.shutdown()
            thread.join()


_DIAGRAM = 'graph TD\nA@{ img: "URL", label: "x", w: 60, h: 60 }\nB["<img src=\'URL\'/>"]\nA --> B\nclick B "URL"'
_MERMAID = f"```mermaid\n{_DIAGRAM}\n```"


def _indented(text: str, by: str) -> str:
    return "\n".join(f"{by}{line}" for line in text.split("\n"))


# By name; `URL` is the canary's, with the name as its path.
_TEXTS: Mapping[str, str] = {
    # Fences
    "fence": _MERMAID,
    "fence-of-tildes": f"~~~mermaid\n{_DIAGRAM}\n~~~",
    "fence-longer": f"``````mermaid\n{_DIAGRAM}\n``````",
    "fence-shorter-within": f"`````text\n```\n`````\n{_MERMAID}",
    "fence-in-list": f"- list\n\n{_indented(_MERMAID, '  ')}",
    "fence-in-item": f"- ```mermaid\n{_indented(_DIAGRAM, '  ')}\n  ```",
    "fence-in-numbered-list": f"1. list\n\n{_indented(_MERMAID, '   ')}",
    "fence-in-quote": _indented(_MERMAID, "> "),
    "fence-in-quote-in-list": f"- list\n\n{_indented(_MERMAID, '  > ')}",
    "fence-indented": _indented(_MERMAID, "   "),
    "fence-with-spaces": f"```   mermaid  \n{_DIAGRAM}\n```",
    "fence-with-tab": f"```\tmermaid\n{_DIAGRAM}\n```",
    "fence-in-capitals": f"```MerMaid\n{_DIAGRAM}\n```",
    "fence-with-more": f"```mermaid title=x\n{_DIAGRAM}\n```",
    "fence-with-attributes": f"```{{.mermaid}}\n{_DIAGRAM}\n```",
    "fence-with-class": f"```x language-mermaid\n{_DIAGRAM}\n```",
    "fence-with-hyphen": f"```mermaid-x\n{_DIAGRAM}\n```",
    "fence-with-entity": f"```&#109;ermaid\n{_DIAGRAM}\n```",
    "fence-with-backslash": f"```\\mermaid\n{_DIAGRAM}\n```",
    "fence-with-zero-width": f"```mermaid\u200b\n{_DIAGRAM}\n```",
    "fence-not-closed": f"```mermaid\n{_DIAGRAM}",
    "fence-with-returns": f"```mermaid\r{_DIAGRAM}\r```".replace("\n", "\r"),
    "fence-after-fence": f"```\nx\n```\n{_MERMAID}",
    "fence-after-closing-words": f"```\nx\n``` y\n{_MERMAID}",
    "fence-by-struck-words": f"~~~~mermaid~~~~\n{_DIAGRAM}",
    "fence-by-code-in-a-line": f"`` `{_MERMAID} ``",
    "fence-in-table": f"| a |\n|---|\n| ```mermaid\n{_DIAGRAM}\n``` |",
    "fence-in-comment": f"<!--\n{_MERMAID}\n-->\n\n{_MERMAID}",
    "fence-in-details": f"<details>\n\n{_MERMAID}\n\n</details>",
    "fence-in-directive": f":::note\n{_MERMAID}\n:::",
    "fence-in-footnote": f"x[^1]\n\n[^1]: y\n\n{_indented(_MERMAID, '    ')}",
    "fence-of-a-chart": '```vega-lite\n{"data": {"url": "URL"}}\n```\n\n```graphviz\ndigraph {a [image="URL"]}\n```',
    "fence-of-a-page": '```html\n<img src="URL">\n```\n\n```svg\n<image href="URL"/>\n```',
    "fence-of-a-formula": "```math\n\\includegraphics{URL}\n```",
    # Images
    "image": "![x](URL)",
    "image-with-title": '![x](URL "title")',
    "image-in-brackets": "![x](<URL>)",
    "image-by-reference": "![x][pic]\n\n[pic]: URL",
    "image-by-its-text": "![pic]\n\n[pic]: URL",
    "image-by-number": "![1]\n\n[1]: URL",
    "image-in-link": "[![x](URL)](URL)",
    "image-in-heading": "# ![x](URL)",
    "image-in-table": "| a |\n|---|\n| ![x](URL) |",
    "image-in-emphasis": "***![x](URL)***~~![x](URL)~~",
    "image-after-code": "`a``b` ![x](URL)",
    "image-in-code-in-table": "| a |\n|---|\n| `x\\|y` ![x](URL) |\n| `a\\\\|` ![x](URL) `b` |",
    "image-with-entities": "&#33;[x](URL) !&#91;x](URL)",
    "image-with-backslashes": "\\\\![x](URL) !\\[x](URL) \\!\\[x](URL)",
    "image-with-zero-width": "!\u200b[x](URL) ![\u200b](URL)",
    "image-between-code": "`a`![](URL)``b`![x](URL)`c``",
    "image-of-any-protocol": "![x](//CANARY/image-of-any-protocol)",
    "image-of-svg": "![x](data:image/svg+xml,%3Csvg%20xmlns='http://www.w3.org/2000/svg'%3E%3Cimage%20href='URL'/%3E%3C/svg%3E)",
    # HTML
    "html-image": '<img src="URL"><img srcset="URL 1x"><picture><source srcset="URL"><img></picture>',
    "html-frame": '<iframe src="URL"></iframe><object data="URL"></object><embed src="URL">',
    "html-media": '<video src="URL" poster="URL" autoplay></video><audio src="URL" autoplay></audio>',
    "html-style": '<div style="background:url(URL)">x</div>\n\n<style>@import "URL"; * {background: url(URL)}</style>',
    "html-link": '<link rel="stylesheet" href="URL"><link rel="prefetch" href="URL"><base href="URL">',
    "html-script": '<script src="URL"></script><script>fetch("URL")</script>',
    "html-events": '<body onload="fetch(\'URL\')"><svg onload="fetch(\'URL\')"><image href="URL"/></svg>',
    "html-meta": '<meta http-equiv="refresh" content="0;url=URL">',
    "html-form": '<form action="URL"><input type="image" src="URL"></form>',
    "html-in-table": '| a |\n|---|\n| <img src="URL"> |',
    "html-in-a-line": 'x <img src="URL"/> y <b style="background:url(URL)">z</b>',
    # What Streamlit adds
    "math": "$\\href{URL}{x}$ $$\\includegraphics{URL}$$\n\n$$\n\\htmlStyle{background:url(URL)}{x}\n\\url{URL}\n$$",
    "emoji": ":smile: :+1: :100: :streamlit: :URL:",
    "icons": ":material/home: :material_home: :material/URL:",
    "colours": ":red[x] :blue-background[![x](URL)] :red-badge[x] :rainbow[x] :small[x] :shimmer[x] :help[URL]",
    "colour-of-ones-own": ':color[x]{foreground="red;background:url(URL)" background="url(URL)"}',
    "directives": '::img{src="URL"}\n\n:::iframe{src="URL"}\nx\n:::',
    "directives-in-a-line": ':img[x]{src="URL"} :a[x]{style="background:url(URL)"}',
    "arrows": "-> <- <-> -- >= <= ~=",
    # Links, which are asked for when they are chosen and not before
    "link": "[x](URL) <URL> URL [x](URL 'title')",
    "link-by-reference": "[x][ref] [ref]\n\n[ref]: URL",
    "link-without-protocol": "[x](//CANARY/link-without-protocol) www.CANARY/x",
    "link-to-a-script": "[x](javascript:fetch('URL')) [x](JaVaScRiPt:fetch('URL')) [x](&#106;avascript:fetch('URL'))",
    "link-to-data": '[x](data:text/html,<img/src="URL">) [x](vbscript:x) [x](file:///etc/passwd) [x](blob:URL)',
    "link-within-the-page": "[x](/auth/logout) [x](?c=web-0000000000000000000000) [x](#source-1-1) [x](./media/x)",
    "link-of-a-mark": "[1](URL) [1]: URL",
    "mail": "a@b.c mailto:a@b.c xmpp:a@b.c",
    "footnote": "x[^1] and ^[URL]\n\n[^1]: ![x](URL)",
    # Everything else
    "table": "| ![x](URL) | b |\n|:--|--:|\n| <img src=URL> | :smile: |",
    "tasks": "- [ ] ![x](URL)\n- [x] <img src=URL>",
    "definition": "term\n: ![x](URL)",
    "front-matter": '---\nimage: "URL"\n---\n\n+++\nimage = "URL"\n+++',
    "right-to-left": "\u202e![x](URL)\u202c",
    "nothing": "\x00![x\x00](URL)\x08",
}


def texts(canary: Canary) -> dict[str, str]:
    """What a document or a model may say, by name."""
    host = canary.url.removeprefix("http://")
    return {name: text.replace("URL", f"{canary.url}/{name}").replace("CANARY", host) for name, text in _TEXTS.items()}

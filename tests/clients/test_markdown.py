"""Texts of documents and models on the page: as they are, and harmless."""

import re
from collections.abc import Iterator
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from clients.streamlit_chat.answer_reading import DOUBT_BEGINS, DOUBT_ENDS, Mark
from clients.streamlit_chat.markdown import LANGUAGES, answer_markdown, escape_markdown, make_bullet_list


def unescaped(text: str) -> str:
    """*text* without the backslashes before punctuation."""
    return re.sub(r"\\(?=[!-/:-@\[-`{-~])", "", text)


@pytest.mark.parametrize(
    "text",
    [
        "A room costs $410 and laundry $30.",
        "See :red[x] and note:book[y].",
        "Open 10:30; at http://x.org",
        "- a list\n- **bold** and *slanted*\n  - in a list\n\n# Heading\n\n> quoted\n> more",
        "1. one\n\n2. two\n\n   more of it\n\n3. three",
        "1. tight\n2. list\n   1. inner\n   2. list",
        "Run `echo $HOME` or ``a ` b``.",
        "```\n$ ls\n```\n\ncosts $1",
        "```python\nprint(1)\n\n\nprint(2)\n```",
        "- item\n\n  ```sh\n  ls\n\n  cd\n  ```\n\n  after",
        "> ```\n> ls\n>\n> cd\n> ```",
        "| a | b | c |\n|---|:---:|---:|\n| 1 | **2** | `3` |",
        "one\\\ntwo\nthree",
        "~~struck~~",
        "***",
        "[a page](<https://x.org/a?b=c&d=%20#e>) [mail](<mailto:a@b.c>)",
        "2026. A year, and 3) a bracket, - a dash, + a plus, # a number",
        "Well\u00a0⚠ then",
    ],
)
def test_an_answer_keeps_its_markdown_and_its_words(text: str) -> None:
    assert unescaped(answer_markdown(text)) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (r"A room costs \$410.", r"A room costs \$410\."),
        ("one\r\ntwo\rthree", "one\ntwo\nthree"),
        ("a \u202eb\u202c \u2066c\u2069 \u202ad\x1b", "a b c d"),
        ("```\n$ still coming", "```\n$ still coming\n```"),
        ("~~~ruby\na\n~~~", "```ruby\na\n```"),
        ("    indented", "```\nindented\n```"),
        ("````\n```\n````", "````\n```\n````"),
        ("Title\n===", "# Title"),
        ("<b>bold</b> &amp; &lt;i&gt;", r"\<b\>bold\</b\> \& \<i\>"),
        ("[pic]: http://x\n\n![pic]", "\\[pic\\]\\: http\\://x\n\n\\!\\[pic\\]"),
        ("![a picture](http://x.org/a.png)", "[a picture](<http://x.org/a.png>)"),
        ("![](http://x.org/a.png)", r"[http\://x\.org/a\.png](<http://x.org/a.png>)"),
        ("[x](javascript:alert(1)) [y](/here) [z](//there)", r"\[x\]\(javascript\:alert\(1\)\) y z"),
        ("[![x](http://a.b)](http://c.d)", "[x](<http://c.d>)"),
        ("[x](http://a.b/$x$(y)|z'\")", "[x](<http://a.b/%24x%24%28y%29%7Cz'%22>)"),
        ("| a |\n|---|\n| `x\\|y` |", "| a |\n|---|\n| x\\|y |"),
        ("~~~~struck~~~~", "```\n\n```"),
        ("a ~~b ~~c~~ d~~", r"a ~~b c d~~"),
    ],
)
def test_what_is_not_markdown_as_it_is_meant_shows_as_text(text: str, shown: str) -> None:
    assert answer_markdown(text) == shown


@pytest.mark.parametrize(
    "info",
    ["mermaid", "MERMAID", " mermaid x", "{.mermaid}", "mermaid-x", "x mermaid", "vega-lite", "&#109;ermaid", ""],
)
@pytest.mark.parametrize("fence", ["```", "~~~", "`````"])
def test_a_fence_has_a_language_that_is_known_or_none(info: str, fence: str) -> None:
    assert answer_markdown(f"{fence}{info}\ngraph TD\n{fence}") == "```\ngraph TD\n```"


@pytest.mark.parametrize(
    ("text", "apart"),
    [
        (":smile:", ":\u2060smile:"),
        (":+1: :100: :-1:", ":\u2060+1: :\u2060100: :\u2060-1:"),
        (
            ":material/home: :material_home: :streamlit:",
            ":\u2060material/home: :\u2060material_home: :\u2060streamlit:",
        ),
        (r"\:smile\: &colon;smile: :sm**i**le:", ":\u2060smile: :\u2060smile: :sm**i**le:"),
        ("10:30:45, 1:2:3, http://x.org:8080/a:b", "10:30:45, 1:2:3, http://x.org:8080/a:b"),
    ],
)
def test_no_short_code_becomes_a_picture(text: str, apart: str) -> None:
    assert unescaped(answer_markdown(text)) == apart


MARKS = {1: Mark("source-3-1", 'The "student" dormitory', 1), 12: Mark("source-3-12", "Fees", 2)}
FIRST = r"""[\[1\]](#source-3-1 "The 'student' dormitory")"""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("It costs 410 [1]", f"It costs 410 {FIRST}"),
        ("Both [1][12]", rf'Both {FIRST}[\[2\]](#source-3-12 "Fees")'),
        ("- item\n\n    of the item [1]", f"- item\n\n  of the item {FIRST}"),
        ("| a [1] |\n|---|", f"| a {FIRST} |\n|---|"),
        ("**bold [1]**", f"**bold {FIRST}**"),
        ("[1](http://elsewhere)", rf"{FIRST}\(http\://elsewhere\)"),
        ("[1]: http://elsewhere", rf"{FIRST}\: http\://elsewhere"),
        ("[see [1]](http://elsewhere)", rf"\[see {FIRST}\]\(http\://elsewhere\)"),
        ("- \ue000so **it** is [1]\ue001\u00a0⚠ but", f"- :orange[so] **:orange[it]** :orange[is] {FIRST}\u00a0⚠ but"),
        ("`\ue000x\ue001` [\ue000y](http://x.org/\ue001)", "`x` [y](<http://x.org/>)"),
    ],
)
def test_a_mark_with_a_citation_leads_to_it_whatever_the_answer_makes_of_it(text: str, shown: str) -> None:
    assert answer_markdown(text, MARKS) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Nothing [2], nothing [1234]", r"Nothing \[2\], nothing \[1234\]"),
        ("[2]: http://elsewhere\n\n[2]", "\\[2\\]\\: http\\://elsewhere\n\n\\[2\\]"),
        (r"Not one: \[1]", r"Not one\: \[1\]"),
        ("[see [2]](http://x.org)", r"[see \[2\]](<http://x.org>)"),
        ("![see [1]](http://x.org)", r"[see \[1\]](<http://x.org>)"),
    ],
)
def test_a_mark_without_a_citation_stays_text(text: str, shown: str) -> None:
    assert answer_markdown(text, MARKS) == shown


@pytest.mark.parametrize("code", ["`[1]`", "``a ` [1]``", "```\n[1]\n```", "> ```\n> [1]\n> ```"])
def test_marks_in_code_stay_as_they_are(code: str) -> None:
    assert answer_markdown(code, MARKS) == code
    assert answer_markdown(f"{code}\n\n[1]", MARKS) == f"{code}\n\n{FIRST}"


# Another reader than the one that wrote it, which knows more: what it finds is what a browser might.
_READER = MarkdownIt("js-default", {"html": True, "linkify": False})
_PIECES = r"""
a b 1 12 [ ] ( ) < > ! ` `` ``` ~ ~~ ~~~ * ** _ | \ # - + : ; = & $ ^ / . [1] ![x](http://e) <img> mermaid :::x ::x :x[
&#10; &#96; &#33; &lt; |---| http://e {.x}
"""
_BLANK = [" ", "\n", "\n\n", "    ", "\t", "\r", "\u200b", "\u00a0", "\u2028", "\x00", "\x0b", "  \n", "\\\n"]
_BEGINNINGS = ["\n- ", "\n> ", "\n1. ", "```mermaid\n", "~~~mermaid\n", "\n|a|\n|-|\n|"]
_HOSTILE = st.lists(
    st.sampled_from([*_PIECES.split(), *_BLANK, *_BEGINNINGS]),
    max_size=40,
).map("".join)


def tokens(markdown: str) -> Iterator[Token]:
    for block in _READER.parse(markdown):
        yield block
        yield from block.children or ()


_IN_DOUBT = st.lists(st.sampled_from([DOUBT_BEGINS, DOUBT_ENDS, *_PIECES.split(), *_BEGINNINGS]), max_size=40)


@given(_HOSTILE | _IN_DOUBT.map("".join))
def test_whatever_is_in_it_an_answer_is_made_of_known_parts(text: str) -> None:
    for token in tokens(answer_markdown(text, MARKS)):
        assert token.type not in ("image", "html_block", "html_inline", "code_block"), token
        if token.type == "fence":
            assert token.info in LANGUAGES | {""}
        if token.type == "link_open":
            assert re.match(r"https?://|mailto:|tel:|#source-3-", str(token.attrs["href"]))


@given(_HOSTILE)
def test_no_word_of_an_answer_is_lost(text: str) -> None:
    def words(markdown: str) -> str:
        read = MarkdownIt("commonmark").enable(["table", "strikethrough"]).disable(["html_block", "html_inline"])
        read.disable(["reference", "image"])
        shown = [block.content for block in read.parse(markdown) if block.type in ("fence", "code_block")]
        shown += [each.content for block in read.parse(markdown) for each in block.children or ()]
        return "".join(sorted("".join(shown)))

    def compared(markdown: str) -> str:
        return re.sub(r"[\s\u2060*~!\\\x00-\x1f\x7f\ufffd]", "", words(markdown))

    assert compared(answer_markdown(text)) == compared(text)


@given(_HOSTILE)
def test_a_title_is_made_of_words_alone(text: str) -> None:
    for shown in (escape_markdown(text), make_bullet_list([text, text])):
        found = [token.type for token in tokens(shown)]
        assert set(found) <= {
            "paragraph_open", "inline", "text", "text_special", "paragraph_close",
            "bullet_list_open", "list_item_open", "list_item_close", "bullet_list_close",
        }  # fmt: skip
        assert found.count("list_item_open") in (0, 2)


def test_a_title_shows_as_it_is() -> None:
    assert escape_markdown("A *new* [rule]\n# $5_000 <b>") == r"A \*new\* \[rule\] \# \$5\_000 \<b\>"


@pytest.mark.parametrize(
    "piece",
    ["[", "![", "*a **b ", "`", "``a`", "<", "|", "[](", "[a](<", "~~a ", "> ", "- a\n", "1. ", ":a", "&", "\\", "\n"],
)
def test_no_answer_takes_the_page_long_to_draw(piece: str) -> None:
    """A page has one thread for all its visitors."""
    for size in (12_000, 200_000):
        began = process_time()
        answer_markdown(piece * (size // len(piece)), MARKS)
        assert process_time() - began < 3


def test_a_table_of_ten_thousand_cells_shows_as_text() -> None:
    wide = f"{'|a' * 2000}\n{'|-' * 2000}\n" + "|\n" * 5000
    assert "|\n|" not in answer_markdown(wide)

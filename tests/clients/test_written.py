"""Answers and conversations that are taken along: nothing of them fetches or runs anything where they are opened."""

from datetime import date

from markdown_it import MarkdownIt

from clients.api_answers import Message
from clients.run_events import Citation
from clients.streamlit_chat.markdown import answer_markdown
from clients.streamlit_chat.written import write_answer, write_answer_html, write_conversation


class Reader(MarkdownIt):
    """Reads HTML, images and links that run something."""

    def validateLink(self, url: str) -> bool:
        return True


READER = Reader("commonmark").enable("table")
DAY = date(2026, 11, 28)
IMAGE = "![x](http://evil.example/p.png)"


def test_what_is_taken_along_has_no_images_and_no_html() -> None:
    title = f"{IMAGE} <img src=http://evil.example>"
    cited = (Citation(1, title, "a.md", "q"),)
    for told in (
        IMAGE,
        f"\\\\{IMAGE}",
        "![x][r]\n\n[r]: http://evil.example/p.png",
        "a <img src=http://evil.example/p.png> b",
        "<script>alert(1)</script>",
        f"<{IMAGE} <b> \\\\\\<{IMAGE}",
        "[a](javascript:alert(1)), [b](<&#106;avascript:alert(1)>) and <javascript:alert(1)>",
        "[a][r], [r]\n\n[r]: javascript:alert(1)",
        "![a](javascript:alert(1)) and <b> [a](https://x.example)",
        "<div>\n[a](javascript:alert(1))\n</div>",
        '[r]: javascript:alert(1) "<img src=http://evil.example>"\n\n[r]',
        f"```\n{IMAGE}",  # in two answers, the second ends the first one's block
    ):
        answer = Message("assistant", f"{told} [1]", cited)
        asked = Message("user", f"What is {told}?")
        for text in (write_answer(answer), write_conversation([asked, answer, asked, answer], IMAGE, DAY)):
            assert "<img" not in READER.render(text), text
            assert "<script" not in READER.render(text), text
            assert 'href="javascript:' not in READER.render(text), text
        assert "<img" not in write_answer_html(answer)
    kept = "[a](https://x.example)"
    assert kept in write_answer(Message("assistant", f"<b> {kept}"))
    for plain in (f"```\n{IMAGE}\n<b>\n```", "a < b, [a page](http://x.example), wow!", r"\!\[x\]"):
        assert write_answer(Message("assistant", plain)) == plain


def test_a_conversation_has_its_day_and_the_quotes_that_an_answer_rests_on() -> None:
    cited = (Citation(1, "Rooms", "rooms.md", "A room costs $410.\n\n| a | b |"), Citation(2, "Fees", "fees.md", IMAGE))
    asked, answer = Message("user", "What is it?"), Message("assistant", "It costs $410. [1] [2]", cited)
    text = write_conversation([asked, answer], "Help", DAY)
    assert text.startswith("# Help\n\nSaved on 2026-11-28.\n\n## What is it?\n\nIt costs $410. [1] [2]\n\nSources:\n")
    assert "- [1] Rooms\n\n  > A room costs $410.\n  > \n  > | a | b |\n\n- [2] Fees\n\n  > " in text
    assert READER.render(text).count("<blockquote>") == 2
    assert "<img" not in READER.render(text)
    assert ">" not in write_answer(answer)


def test_no_title_and_no_open_block_of_code_speaks_in_the_name_of_others() -> None:
    title = "Rooms\n\n# A heading\n\n## Nobody asked this"
    asked, last = Message("user", "What is it?"), Message("assistant", "The last one.")
    for fence in ("```", "~~~~ python", "````\n```"):
        answer = Message("assistant", f"So. [1]\n\n{fence}\ncode", (Citation(1, title, "a.md", "q"),))
        html = READER.render(write_conversation([asked, answer, asked, last], "Help", DAY))
        assert (html.count("<h1>"), html.count("<h2>"), html.count("<pre>")) == (1, 2, 1), html
        assert html.count("<p>The last one.</p>") == 1
    closed = "```\n```\n\n~~~\n```\n~~~"
    assert write_answer(Message("assistant", closed)) == closed


def test_code_of_a_long_conversation_stays_as_it_is() -> None:
    """An export is made when it is asked for: what tables it has does not matter."""
    table = f"{'a|' * 20}\n{'-|' * 20}\n" + f"{'a|' * 20}\n" * 20
    turns = [Message("user", "What?"), Message("assistant", f"{table}\n```\na <b> c\n```")] * 30
    assert write_conversation(turns, "Help", DAY).count("\na <b> c\n") == 30


def test_what_takes_long_to_read_is_copied_as_plain_text() -> None:
    """A copy is made each time an answer is drawn: these took seconds, for all visitors of the page."""
    wide = f"{'a|' * 50}\n{'-|' * 50}\n" + "a\n" * 3_000
    for slow in (wide, "<b> [x](javascript:a) " + "[" * 60_000):
        text = write_answer(Message("assistant", slow))
        assert (write_answer_html(Message("assistant", slow)), "x](javascript" in text) == ("", False)
        assert len(answer_markdown(slow)) < 3 * len(slow)  # the first had each row filled up, twenty times as long

"""What somebody asks who wants to know what stands under a heading."""

import pytest

from prompts.small_talk import make_example_questions, names_heading


@pytest.mark.parametrize(
    ("language", "heading", "question"),
    [
        ("en", "Rooms and rent", "What should I know about rooms and rent?"),
        ("en", "How to apply", "How do I apply?"),
        ("en", "How can I apply", "How can I apply?"),
        ("en", "What do you need", "What do you need?"),
        ("en", "When is the office open?", "When is the office open?"),
        ("en", "Before you start", "What does “Guide” say about “Before you start”?"),
        ("en", "When something goes wrong", "What does “Guide” say about “When something goes wrong”?"),
        ("en", "Not allowed", "What does “Guide” say about “Not allowed”?"),
        ("en", "What we keep", "What do you keep?"),
        ("en", "How long we keep it", "What does “Guide” say about “How long we keep it”?"),
        ("en", "Where we are", "What does “Guide” say about “Where we are”?"),
        ("en", "What we can do", "What does “Guide” say about “What we can do”?"),
        ("en", "Who sees it", "What does “Guide” say about “Who sees it”?"),
        ("en", "2. Rooms and rent", "What should I know about rooms and rent?"),
        ("en", "3.1 What is rent?", "What is rent?"),
        ("en", "24 hours before", "What should I know about 24 hours before?"),
        ("en", "How long we keep records", "How long do you keep records?"),
        (
            "es",
            "Quién puede verlos y cómo los guardamos",
            "¿Qué dice «Guide» sobre «Quién puede verlos y cómo los guardamos»?",
        ),
        ("id", "Cara mengambilnya", "Apa isi “Guide” tentang “Cara mengambilnya”?"),
        ("en", "Notices", "What should I know about notices (Guide)?"),
        ("es", "Antes de empezar", "¿Qué dice «Guide» sobre «Antes de empezar»?"),
        ("es", "Cómo solicitar", "¿Cómo puedo solicitar?"),
        ("id", "Setelah lulus", "Apa isi “Guide” tentang “Setelah lulus”?"),
        ("id", "Cara mendaftar", "Bagaimana cara mendaftar?"),
    ],
)
def test_a_heading_is_asked_about_as_people_do(language: str, heading: str, question: str) -> None:
    plainest, *_ = make_example_questions("Guide", heading, language)
    assert plainest == question
    assert names_heading(question, "Guide", heading)
    assert not names_heading(question, "Guide", "Opening hours")


def test_a_name_keeps_its_capital() -> None:
    text = "Opening hours differ. The one in Serrabona, which is small, opens later."
    assert make_example_questions("Guide", "Serrabona library", "en", text)[0].endswith("about Serrabona library?")
    assert make_example_questions("Guide", "Opening hours", "en", text)[0].endswith("about opening hours?")

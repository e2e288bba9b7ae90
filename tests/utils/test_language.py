"""Which language a text is in: one of ours, or clearly another one."""

import pytest

from utils.language import detect_any_language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("How much is a room?", "en"), ("cuanto cuesta?", "es"), ("halo kak, berapa biayanya", "id"),
        ("寮の家賃はいくらですか。", "ja"), ("Сколько стоит комната?", "ru"), ("Wie viel kostet ein Zimmer?", "de"),
        ("Bonjour, combien coûte une chambre ?", "fr"), ("Quanto custa um quarto?", "pt"), ("ok", "en"), ("", "en"),
    ],
)  # fmt: skip
def test_only_what_is_clearly_in_another_language_is_said_to_be(text: str, language: str) -> None:
    assert detect_any_language(text) == language

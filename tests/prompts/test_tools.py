"""What people are told of calls that did not work."""

import pytest

from prompts.tools import Outcome, format_outcomes


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("en", "The data source could not answer this: Its file is missing."),
        ("es", "La fuente de datos no pudo responder a esto: Its file is missing."),
        ("fr", "The data source could not answer this: Its file is missing."),
    ],
)
@pytest.mark.parametrize("tool", ["query_data", "draw_chart"])
def test_a_data_source_that_fails_is_told_of_without_the_name_of_a_tool(language: str, told: str, tool: str) -> None:
    assert format_outcomes(language, [Outcome("failed", tool, "Its file is missing.")]) == told
    assert "“weather”" in format_outcomes("en", [Outcome("failed", "weather", "It rains.")])

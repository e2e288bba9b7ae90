"""How many examples a property is tried with, by the profile of Hypothesis: `pytest --hypothesis-profile thorough`."""

import os

from hypothesis import HealthCheck, settings

_USUAL = 100


def register_profiles() -> None:
    """`dev` draws other examples each time, `ci` always the same, `thorough` fifty times as many; no time limit."""
    settings.register_profile("dev", max_examples=_USUAL, deadline=None)
    settings.register_profile(
        *("ci", settings.get_profile("dev")),
        derandomize=True,
        database=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.register_profile("thorough", settings.get_profile("dev"), max_examples=50 * _USUAL)
    settings.load_profile("ci" if os.environ.get("CI") else "dev")


def count_examples(usual: int) -> int:
    """*usual* examples, or as many times more as the profile says."""
    return usual * settings().max_examples // _USUAL

"""Names of variables that are probably meant as others."""

import difflib
from collections.abc import Collection, Iterable

_ALIKE = 0.8
_OF_OTHERS = ("STREAMLIT_SERVER_", "STREAMLIT_BROWSER_")  # Streamlit's own


def find_misspelt(names: Iterable[str], valid: Collection[str]) -> dict[str, str]:
    """The *names* that are not among *valid* but like one of them, each with that one.

    A name that is like none may belong to another program, or be a value that lost its name.
    """
    unknown = (name for name in names if name.upper() not in valid and not name.startswith(_OF_OTHERS))
    alike = ((name, difflib.get_close_matches(name.upper(), valid, n=1, cutoff=_ALIKE)) for name in unknown)
    return {name: matches[0] for name, matches in alike if matches}


def select_by_prefix(names: Iterable[str], valid: Iterable[str]) -> list[str]:
    """The *names* that begin as one of *valid* does, up to its first underscore: REDIS_ of REDIS_URL."""
    prefixes = {name.partition("_")[0] for name in valid if "_" in name}
    return [name for name in names if "_" in name and name.partition("_")[0].upper() in prefixes]

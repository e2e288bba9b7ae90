"""The packages of the product, found in the tree: a walk over the code must not pass over a new one."""

from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_OTHERS = ("benchmarks", "tests")
PACKAGES = tuple(sorted(path.parent.name for path in ROOT.glob("*/__init__.py") if path.parent.name not in _OTHERS))


def source_files(*left_out: str) -> Iterator[Path]:
    """Each file of Python in the packages, but for those of *left_out*."""
    for package in PACKAGES:
        if package not in left_out:
            yield from sorted((ROOT / package).rglob("*.py"))

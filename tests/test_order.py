"""What is said of the order of tests is said of files that are there."""

from tests.order import LONGEST
from tests.service import ROOT


def test_every_file_that_is_to_be_run_first_is_there_and_named_once() -> None:
    assert [name for name in LONGEST if not (ROOT / name).is_file()] == []
    assert len(set(LONGEST)) == len(LONGEST)

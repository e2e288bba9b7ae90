"""The service answers as its OpenAPI document says, whatever it is sent; `make fuzz` sends far more."""

from pathlib import Path

import pytest

from tests.contract.fuzz import errors_of, fuzz, fuzzed_service

pytestmark = pytest.mark.long


@pytest.mark.first
def test_every_answer_is_one_that_the_document_describes(tmp_path: Path) -> None:
    with fuzzed_service(tmp_path) as service:
        outcome = fuzz(service, examples=4, phases="examples,fuzzing", limit_s=240)
        assert not outcome.failed, outcome.report
        assert outcome.cases > 150, outcome.report
        assert errors_of(service) == []

"""A service as it stands in front of strangers: it goes by one name, and some websites may call it."""

from collections.abc import Iterator

import pytest

from tests.service import Library, Service
from utils.language import detect_language
from utils.processes import tune_collector

HOST = "chat.example.org"
ALLOWED_ORIGIN = "https://www.example.org"


@pytest.fixture(scope="package")
def public_service(library: Library, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service under the name `HOST`, for pages of `ALLOWED_ORIGIN` and of all sites below intranet.example.org."""
    variables = {
        "TRUSTED_HOSTS": f"{HOST}, *.branch.example.org",
        "CORS_ORIGINS": f"{ALLOWED_ORIGIN}/, https://*.intranet.example.org",
        "RATE_LIMIT_ENABLED": "false",
    }
    with library.service(tmp_path_factory.mktemp("public"), **variables).keeping_vectors() as running:
        yield running


@pytest.fixture(scope="module")
def collector_of_the_service() -> None:
    """Garbage of tests is looked through as seldom as that of the service, and what is loaded once is loaded."""
    detect_language("Its model is loaded when it is first asked for.")
    tune_collector()

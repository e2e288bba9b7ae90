"""What callers say of datasets and documents in members of their own."""

import json
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from utils.validity import check_period

MAX_METADATA_BYTES = 16_384


def check_metadata(value: dict[str, Any]) -> dict[str, Any]:
    """*value* if it can be stored.

    Raises:
        ValueError: as JSON it is too long, or holds what is no character or no number of JSON.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    try:
        size_bytes = len(text.encode())
    except UnicodeEncodeError:
        raise ValueError("Holds a lone surrogate, which is not a character") from None
    if size_bytes > MAX_METADATA_BYTES:
        raise ValueError(f"Has more than {MAX_METADATA_BYTES:,} bytes as JSON")
    if "\\u0000" in text:
        raise ValueError("Holds a NUL character, which databases do not take")
    return value


def check_document_metadata(value: dict[str, Any]) -> dict[str, Any]:
    """*value* if it can be stored, and what it says of when the document holds can be read.

    Raises:
        ValueError: it cannot.
    """
    check_period(value)
    return check_metadata(value)


Metadata = Annotated[dict[str, Any], AfterValidator(check_metadata)]
DocumentMetadata = Annotated[
    dict[str, Any],
    AfterValidator(check_document_metadata),
    Field(
        description="Searches can be limited by its values. Some say when the document holds: from `valid_from` to "
        "`valid_until`, days such as 2026-12-31 (both included); on other days nothing is answered from it. Of two "
        "documents that say different things the one of higher `precedence` (a number, else 0) wins.",
        examples=[{"category": "fees", "valid_from": "2026-01-01", "valid_until": "2026-12-31", "precedence": 1}],
    ),
]

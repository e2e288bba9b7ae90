"""Which run a request means: a new one, or with an `Idempotency-Key` the one that the same request began before.

Source: https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-idempotency-key-header-07
"""

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Literal
from uuid import uuid4

from auth.principal import Principal
from utils.validation import refuse_field

IDEMPOTENCY_HEADER = "Idempotency-Key"
IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")
KEPT_S = 86_400  # callers try again for hours, not for days


@dataclass(frozen=True, slots=True)
class Identity:
    """The id of a run, what tells whether a request is the same, and how long it is kept (0: as any other).

    `on_disconnect`: whoever is going to try again does not want the run to end meanwhile.
    """

    run_id: str
    fingerprint: str = ""
    keep_s: int = 0
    on_disconnect: Literal["cancel", "continue"] = "cancel"


def identify(ctx: Principal, key: str | None, request: tuple[str | None, ...]) -> Identity:
    """The run that this caller means by *key*, or a new one if there is none. *request* is all that it consists of.

    Raises:
        BadInput: the key is not one.
    """
    if key is None:
        return Identity(uuid4().hex)
    named = "\0".join((ctx.tenant_id, ctx.subject_id, *([ctx.bot_id] if ctx.bot_id else []), check_key(key)))
    return Identity(_hash_parts(named), _hash_parts(json.dumps(request)), KEPT_S, "continue")


def check_key(key: str) -> str:
    """*key* if it is one.

    Raises:
        BadInput: it is not.
    """
    if IDEMPOTENCY_KEY.fullmatch(key):
        return key
    raise refuse_field(f"{IDEMPOTENCY_HEADER} has 1 to 255 visible ASCII characters.", IDEMPOTENCY_HEADER)


def _hash_parts(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

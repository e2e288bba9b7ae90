"""Who is asking: made from the credential alone, passed explicitly to everything that touches data."""

from dataclasses import dataclass

DEFAULT_TENANT = "default"


@dataclass(frozen=True, slots=True)
class TenantContext:
    """The tenant a call acts for, and the key that proved it.

    Made in `api/auth.py` and by the operator's commands, nowhere else. It is the first parameter of every function that
    reads or writes a tenant's data, so that a forgotten filter is a missing argument.
    """

    tenant_id: str
    key_id: str

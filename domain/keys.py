"""Tenants and their API keys. A key is shown once and kept as its SHA-256 only.

A key made here is 43 random letters and digits, 256 bits: a plain hash of it cannot be guessed back, and costs
microseconds.
"""

import hashlib
import hmac
import re
import secrets
import string

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from domain.models import ApiKey, Tenant
from domain.scoping import scoped_to
from utils.errors import BadInput, NotFound

SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
FORM = re.compile(r"ak_live_([a-z0-9]{8})_[A-Za-z0-9]{43}")
LETTERS = string.ascii_letters + string.digits
LONGEST_NAME = 80


def ensure_tenant(session: Session, slug: str) -> Tenant:
    """The tenant *slug*, made if it is new; flushed, not committed.

    Raises:
        BadInput: *slug* is not 1 to 63 lower-case letters, digits, `-` or `_`.
    """
    if not SLUG.fullmatch(slug):
        raise BadInput(f"A tenant's name is 1 to 63 of a-z, 0-9, - and _, beginning with a letter or digit: {slug!r}.")
    tenant = session.get(Tenant, slug)
    if tenant is not None:
        return tenant
    tenant = Tenant(tenant_id=slug)
    try:
        with session.begin_nested():
            session.add(tenant)
    except IntegrityError:  # PostgreSQL: another process was first
        return session.get_one(Tenant, slug)
    return tenant


def get_tenant(session: Session, slug: str) -> Tenant:
    """The tenant *slug*.

    Raises:
        NotFound: there is none.
    """
    tenant = session.get(Tenant, slug)
    if tenant is None:
        raise NotFound(f"There is no tenant {slug!r}.")
    return tenant


def create_key(session: Session, tenant_id: str, name: str) -> tuple[ApiKey, str]:
    """A new key of the tenant, and the key itself, `ak_live_<id>_<secret>`, which cannot be had again.

    Raises:
        BadInput: *name*, which says what it is for, is too long.
    """
    if len(name) > LONGEST_NAME:
        raise BadInput(f"A key's name has {LONGEST_NAME} characters at most.")
    key_id = _random(8, string.ascii_lowercase + string.digits)
    presented = f"ak_live_{key_id}_{_random(43, LETTERS)}"
    key = ApiKey(
        key_id=key_id, tenant_id=tenant_id, name=name, prefix=f"ak_live_{key_id}", secret_hash=_digest(presented)
    )
    session.add(key)
    session.flush()
    return key, presented


def create_first_key(session: Session, tenant_id: str, name: str) -> str | None:
    """A key for a tenant that has none, None if it has; of several processes that ask at once, one gets it."""
    session.get(Tenant, tenant_id, with_for_update={"key_share": True})
    return None if has_keys(session, tenant_id) else create_key(session, tenant_id, name)[1]


def has_keys(session: Session, tenant_id: str) -> bool:
    """Whether the tenant has a key that still opens anything."""
    usable = scoped_to(tenant_id, ApiKey).where(ApiKey.revoked_at.is_(None))
    return session.scalars(usable.limit(1)).first() is not None


def find_key(session: Session, presented: str) -> ApiKey | None:
    """The key that was presented, or None if there is no such key or it was revoked. Compared in constant time."""
    form = FORM.fullmatch(presented)
    key = session.get(ApiKey, form[1]) if form else None
    same = hmac.compare_digest(key.secret_hash if key else _digest(""), _digest(presented))
    return key if key and same and key.revoked_at is None else None


def _digest(presented: str) -> str:
    return hashlib.sha256(presented.encode("utf-8", "surrogatepass")).hexdigest()


def _random(length: int, letters: str) -> str:
    return "".join(secrets.choice(letters) for _ in range(length))

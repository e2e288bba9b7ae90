"""Tenants and their API keys. A key is shown once and kept as its SHA-256 only.

A key made here is 43 random letters and digits, 256 bits: a plain hash of it cannot be guessed back, and costs
microseconds.
"""

import hashlib
import hmac
import re
import secrets
import string
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import or_
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from auth.credentials import make_key_principal
from auth.principal import Principal
from auth.scopes import ALL_SCOPES, BOT_KEY_SCOPES, Scope, add_implied
from domain.models import ApiKey, Tenant, now
from domain.scoping import scoped, scoped_to, scoped_update, select_everywhere
from utils.errors import BadInput, Conflict, NotFound

SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
FORM = re.compile(r"ak_live_([a-z0-9]{8})_[A-Za-z0-9]{43}")
LETTERS = string.ascii_letters + string.digits
LONGEST_NAME = 80
# The first parts of paths that are no tenant's: other services' clients put the tenant's name there.
RESERVED = frozenset(
    ["api", "v1", "admin", "chat", "docs", "redoc", "health", "ready", "metrics", "external_login", "load-document"]
)
ALL = "all"
# Conversations of one's own: who is to share those of other keys says so.
NEW_KEY_SCOPES = ALL_SCOPES - {Scope.CONVERSATIONS_ALL}
USE_NOTED_EVERY = timedelta(minutes=1)


def ensure_tenant(session: Session, slug: str) -> Tenant:
    """The tenant *slug*, made if it is new; flushed, not committed.

    Raises:
        BadInput: *slug* is not 1 to 63 lower-case letters, digits, `-` or `_`, or stands in addresses of the service.
    """
    if not SLUG.fullmatch(slug):
        raise BadInput(f"A tenant's name is 1 to 63 of a-z, 0-9, - and _, beginning with a letter or digit: {slug!r}.")
    tenant = session.get(Tenant, slug)
    if tenant is not None:
        return tenant
    if slug in RESERVED:
        raise BadInput(f"No tenant may be called {slug!r}: addresses of the service begin with it.")
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
        raise NotFound(f"Tenant {slug!r} not found.")
    return tenant


def create_key(
    session: Session,
    tenant_id: str,
    name: str,
    *,
    scopes: Collection[str] | None = None,
    expires_at: datetime | None = None,
    bot_id: str | None = None,
) -> tuple[ApiKey, str]:
    """A new key of the tenant, and the key itself, `ak_live_<id>_<secret>`, which cannot be had again.

    *scopes* may hold `all` instead of names: then the key has those of later versions of the service too; None: the
    usual ones. *bot_id*: the bot that it may talk to, and nothing else; None: any of the tenant.

    Raises:
        BadInput: *name*, which says what it is for, is too long, there is no such scope, or a key for one bot cannot
            have it.
    """
    if len(name) > LONGEST_NAME:
        raise BadInput(f"A key's name has {LONGEST_NAME} characters at most.")
    key_id = _draw_random(8, string.ascii_lowercase + string.digits)
    presented = _make_secret(key_id)
    key = ApiKey(
        key_id=key_id,
        tenant_id=tenant_id,
        name=name,
        prefix=f"ak_live_{key_id}",
        secret_hash=_compute_digest(presented),
        scopes=_check_scopes(scopes, bot_id),
        expires_at=expires_at,
        bot_id=bot_id,
    )
    session.add(key)
    session.flush()
    return key, presented


def create_first_key(session: Session, tenant_id: str, name: str) -> str | None:
    """A key for a tenant that has none, None if it has; of several processes that ask at once, one gets it.

    It may do everything: it is the operator's.
    """
    session.get(Tenant, tenant_id, with_for_update={"key_share": True})
    return None if has_keys(session, tenant_id) else create_key(session, tenant_id, name, scopes=[ALL])[1]


def list_keys(session: Session, ctx: Principal) -> Sequence[ApiKey]:
    """The tenant's keys, revoked ones too, the newest first."""
    return session.scalars(scoped(ctx, ApiKey).order_by(ApiKey.created_at.desc(), ApiKey.key_id)).all()


def revoke_key(session: Session, ctx: Principal, key_id: str) -> ApiKey:
    """Let the key open nothing any more. One that was revoked before stays as it is.

    Raises:
        NotFound: the tenant has no such key.
    """
    key = _get_key(session, ctx, key_id)
    key.revoked_at = key.revoked_at or now()
    return key


def rotate_key(session: Session, ctx: Principal, key_id: str, *, overlap: timedelta) -> tuple[ApiKey, str]:
    """A new secret for the key, which keeps its id, scopes and conversations; the present one is valid for *overlap*
    more, the one before it not at all.

    Raises:
        NotFound: the tenant has no such key.
        Conflict: it was revoked, or has expired.
    """
    key = _get_key(session, ctx, key_id)
    if not is_usable(key):
        raise Conflict(f"The key {key.prefix} was revoked or has expired. Make a new one: flask api-key create.")
    presented = _make_secret(key.key_id)
    key.former_hash, key.former_until = key.secret_hash, now() + overlap
    key.secret_hash = _compute_digest(presented)
    return key, presented


def note_use(session: Session, ctx: Principal, key_id: str, used_at: datetime) -> None:
    """Write when the key was used last, unless less than a minute has passed since what is written."""
    is_old = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < used_at - USE_NOTED_EVERY)
    session.execute(scoped_update(ctx, ApiKey).where(ApiKey.key_id == key_id, is_old).values(last_used_at=used_at))


def has_keys(session: Session, tenant_id: str) -> bool:
    """Whether the tenant has a key that still opens anything."""
    is_current = or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > now())
    usable = scoped_to(tenant_id, ApiKey).where(ApiKey.revoked_at.is_(None), is_current)
    return session.scalars(usable.limit(1)).first() is not None


def is_usable(key: ApiKey) -> bool:
    """Whether it was not revoked and has not expired."""
    return key.revoked_at is None and (key.expires_at is None or now() < key.expires_at)


def read_scopes(key: ApiKey) -> frozenset[Scope]:
    """What the row of the key names; a scope that this version does not know is none. See `read_principal`."""
    if ALL in key.scopes:
        return ALL_SCOPES
    return add_implied(frozenset(scope for scope in Scope if scope in key.scopes))


def read_principal(key: ApiKey) -> Principal:
    """Who presents the key."""
    return make_key_principal(key.tenant_id, key.key_id, read_scopes(key), key.bot_id)


def find_current_scopes(session: Session, ctx: Principal) -> frozenset[Scope] | None:
    """What the key *ctx* may do now; None where it was revoked or has expired."""
    key = session.scalar(scoped(ctx, ApiKey).where(ApiKey.key_id == ctx.subject_id))
    return read_principal(key).scopes if key and is_usable(key) else None


@dataclass(frozen=True, slots=True)
class FoundKey:
    """A valid key. It is valid until `valid_until` unless it is revoked; None: it never expires."""

    key: ApiKey
    valid_until: datetime | None


def find_key(session: Session, presented: str) -> FoundKey | None:
    """The key that was presented, or None if there is none, or it is not valid any more. Compared in constant time."""
    form = FORM.fullmatch(presented)
    key = session.scalar(select_everywhere(ApiKey).where(ApiKey.key_id == form[1])) if form else None
    digest = _compute_digest(presented)
    matches_current = hmac.compare_digest(key.secret_hash if key else _compute_digest(""), digest)
    matches_previous = hmac.compare_digest((key.former_hash if key else None) or _compute_digest(""), digest)
    if key is None or not is_usable(key):
        return None
    if matches_current:
        return FoundKey(key, key.expires_at)
    if matches_previous and key.former_until and now() < key.former_until:
        return FoundKey(key, min(key.former_until, key.expires_at or key.former_until))
    return None


def _get_key(session: Session, ctx: Principal, key_id: str) -> ApiKey:
    key = session.scalars(scoped(ctx, ApiKey).where(ApiKey.key_id == key_id).with_for_update()).one_or_none()
    if key is None:
        raise NotFound(f"The tenant {ctx.tenant_id} has no key {key_id!r}. flask api-key list shows those it has.")
    return key


def _check_scopes(scopes: Collection[str] | None, bot_id: str | None) -> list[str]:
    valid = {ALL, *Scope}
    if scopes is None:
        scopes = NEW_KEY_SCOPES if bot_id is None else BOT_KEY_SCOPES
    if not scopes or not valid.issuperset(scopes):
        raise BadInput(f"Scopes are {', '.join(sorted(Scope))}, or {ALL}.")
    if bot_id is not None and not BOT_KEY_SCOPES.issuperset(scopes):
        usual = ", ".join(sorted(BOT_KEY_SCOPES))
        raise BadInput(f"A key for one bot has {usual}, or some of them. Leave out other scopes, or the bot.")
    return [ALL] if ALL in scopes else sorted(set(map(str, scopes)))


def _make_secret(key_id: str) -> str:
    return f"ak_live_{key_id}_{_draw_random(43, LETTERS)}"


def _compute_digest(presented: str) -> str:
    return hashlib.sha256(presented.encode("utf-8", "surrogatepass")).hexdigest()


def _draw_random(length: int, letters: str) -> str:
    return "".join(secrets.choice(letters) for _ in range(length))

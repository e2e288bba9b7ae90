"""Whether whoever asked for something still may: asked again when a run or a job of theirs is gone on with."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from auth.background import narrow_principal
from auth.principal import CONFIGURED_KEY, Principal, PrincipalKind
from auth.scopes import ALL_SCOPES, VISITOR_SCOPES, Scope
from domain.keys import find_current_scopes
from utils.errors import Forbidden

_REVOKED = "The key that asked for this was revoked or has expired, so the work was stopped. Use a valid key."
_SCOPE_LOST = "The key that asked for this no longer has the scope {}, so the work was stopped. Use a key that has it."


@dataclass(frozen=True, slots=True)
class PermissionCheck:
    """Asks what principals may do now. *has_configured_key*: whether the settings name a key, `API_KEY`."""

    has_configured_key: bool

    def check(self, session: Session, requester: Principal, *needed: Scope) -> Principal:
        """*requester* with those of its scopes that it still has; commands and the service itself keep theirs.

        Raises:
            Forbidden: its key was revoked or has expired, or it has lost one of the scopes *needed*.
        """
        current = self._find_scopes(session, requester)
        if current is None:
            raise Forbidden(_REVOKED)
        for scope in needed:
            if scope not in current:
                raise Forbidden(_SCOPE_LOST.format(scope), members={"required_scope": str(scope)})
        return narrow_principal(requester, current)

    def _find_scopes(self, session: Session, requester: Principal) -> frozenset[Scope] | None:
        match requester.kind:
            case PrincipalKind.OPERATOR | PrincipalKind.SYSTEM:
                return ALL_SCOPES
            case PrincipalKind.VISITOR:
                return VISITOR_SCOPES
            case PrincipalKind.API_KEY if requester.subject_id == CONFIGURED_KEY:
                return ALL_SCOPES if self.has_configured_key else None
            case PrincipalKind.API_KEY:
                return find_current_scopes(session, requester)
        return None

"""May they: the second of the three steps of a request, and the same question again for what is gone on with later."""

from auth.principal import Principal
from auth.scopes import Scope
from utils.errors import Forbidden


def authorise(principal: Principal, scope: Scope) -> None:
    """Return where *principal* has *scope*.

    Raises:
        Forbidden: it has not; `members["required_scope"]` names it.
    """
    if scope not in principal.scopes:
        raise Forbidden(
            f"This needs the scope {scope}, which this key does not have. Use a key that has it.",
            members={"required_scope": str(scope)},
        )

"""The OpenAPI document, with who may use each route as its view says it."""

import re
from collections.abc import Iterator
from typing import Any

from flask_openapi3 import OpenAPI

from api.access import Policy

_PROBLEM = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}
_REFUSALS = {"401": {"description": "Unauthorized", **_PROBLEM}, "403": {"description": "Forbidden", **_PROBLEM}}


class DescribedApi(OpenAPI):
    """An app whose document tells the credentials and the scope that each operation needs."""

    def generate_spec_json(self) -> None:
        """Make the document."""
        super().generate_spec_json()  # type: ignore[no-untyped-call]  # flask-openapi3 has no type for it
        for operation, policy in self._guarded_operations():
            operation["security"] = _security(policy)
            operation["responses"] = _REFUSALS | operation["responses"]

    def _guarded_operations(self) -> Iterator[tuple[dict[str, Any], Policy]]:
        for rule in self.url_map.iter_rules():
            policy: Policy | None = getattr(self.view_functions[rule.endpoint], "policy", None)
            path = re.sub(r"<(?:[^<:]+:)?([^>]+)>", r"{\1}", rule.rule)
            described = self.spec_json["paths"].get(path, {})
            for method in rule.methods or ():
                if policy and policy.scope and method.lower() in described:
                    yield described[method.lower()], policy


def _security(policy: Policy) -> list[dict[str, list[str]]]:
    """Any one of these is enough; the scope stands as the role that a key has to have."""
    by_link: list[dict[str, list[str]]] = [{"link": []}] if policy.kind == "link" else []
    return [{"key": [str(policy.scope)]}, {"bearer": [str(policy.scope)]}, *by_link]

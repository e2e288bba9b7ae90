"""The alert rules and the dashboard ask for series that the service has, by labels that these have."""

import json
from collections.abc import Iterator
from typing import Any, get_args

import promql_parser as promql
import pytest
import yaml

from providers.openai_errors import Reason
from tests.deploy import compose
from tests.service import ROOT
from utils.ports import CallOutcome, RunOutcome
from utils.telemetry.catalogue import CATALOGUE

MONITORING = ROOT / "deploy" / "monitoring"
BY_PROMETHEUS = {"instance", "job"}  # labels it adds to every series
KNOWN = {"up": BY_PROMETHEUS} | {
    name: {*series.labels, *BY_PROMETHEUS, *({"le"} if name.endswith("_bucket") else ())}
    for series in CATALOGUE
    for name in ([f"{series.name}_{part}" for part in ("bucket", "sum", "count")] if series.buckets else [series.name])
}
VALUES = {
    "reason": set(get_args(Reason)),
    "outcome": {*get_args(RunOutcome), *get_args(CallOutcome), "hit", "miss"},
    "status": {"2xx", "3xx", "4xx", "5xx", "disconnected"},
}


def rules() -> list[dict[str, Any]]:
    """All alert rules."""
    groups = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """All panels of the dashboard."""
    return list(json.loads((MONITORING / "dashboard.json").read_text())["panels"])


def expressions() -> list[str]:
    """What rules and panels ask, as Grafana sends it."""
    shown = [target["expr"] for panel in panels() for target in panel.get("targets", [])]
    filled = [text.replace("$__rate_interval", "1m").replace("$instance", ".*") for text in shown]
    return [*(rule["expr"] for rule in rules()), *filled]


def parts(expression: Any) -> Iterator[Any]:
    """The expression and everything in it."""
    yield expression
    inner = [getattr(expression, name, None) for name in ("lhs", "rhs", "expr", "param", "vector_selector")]
    for part in [*inner, *getattr(expression, "args", ())]:
        if part is not None:
            yield from parts(part)


def selectors(expression: Any) -> list[Any]:
    """The series that an expression asks for."""
    return [part for part in parts(expression) if isinstance(part, promql.VectorSelector)]


@pytest.mark.parametrize("text", expressions())
def test_every_expression_asks_for_series_that_exist_by_labels_that_they_have(text: str) -> None:
    asked = selectors(promql.parse(text))
    assert asked
    for selector in asked:
        assert selector.name in KNOWN
        for matcher in selector.matchers.matchers:
            assert matcher.name in KNOWN[selector.name]
            if known := VALUES.get(matcher.name):
                assert set(matcher.value.split("|")) <= known


@pytest.mark.parametrize("text", expressions())
def test_expressions_are_grouped_by_labels_that_exist(text: str) -> None:
    for part in parts(promql.parse(text)):
        if isinstance(part, promql.AggregateExpr) and part.modifier is not None:
            assert set(part.modifier.labels) <= set.intersection(*(KNOWN[found.name] for found in selectors(part)))


def test_every_series_is_shown_on_the_dashboard() -> None:
    shown = {selector.name for text in expressions() for selector in selectors(promql.parse(text))}
    for series in CATALOGUE:
        names = {name for name in KNOWN if name == series.name or (series.buckets and name.startswith(series.name))}
        assert names & shown, series.name


def test_alerts_say_what_to_do() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert set(rule["annotations"]) == {"summary", "description"}


def test_prometheus_scrapes_the_service_of_the_overlay_where_it_serves_metrics() -> None:
    stack = compose.load(compose.BASE, compose.MONITORING, variables={"GRAFANA_PASSWORD": "0123456789abcdef"})
    config = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    [target] = config["scrape_configs"][0]["static_configs"][0]["targets"]
    name, port = target.split(":")
    app = stack["services"][name]
    assert app["environment"]["PROMETHEUS_ENABLED"] == "true"
    assert app["environment"]["METRICS_PORT"] == port
    assert set(app["networks"]) & set(stack["services"]["prometheus"]["networks"])
    mounted = [volume.split(":")[0] for volume in stack["services"]["prometheus"]["volumes"]]
    assert all((ROOT / path).exists() for path in mounted if path.startswith("./"))

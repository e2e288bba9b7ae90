"""`flask model`: the language models of a tenant, made, listed, changed, checked and removed."""

import asyncio
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from typing import Any, cast

import click
from flask.cli import AppGroup

from bootstrap.savers import make_keyring
from bootstrap.tenant_models import TenantModels, check_provider, make_reach
from cli.operator import (
    find_operator,
    get_settings,
    json_option,
    open_records,
    read_as_operator,
    tenant_option,
    write_as_operator,
)
from cli.tables import align_columns
from domain import chat_models
from domain.chat_models import BASE_URLS, LONGEST_NAME, MAX_MODELS, ModelParameters, ModelSpec, Provider, StoredModel
from domain.paging import Part
from utils.errors import BadInput
from utils.printable import make_printable
from utils.validation import API_KEY

_HEAD = ("MODEL", "VERSION", "PROVIDER", "NAME THERE", "ADDRESS", "KEY", "PARAMETERS")
_PARAMETERS = ("temperature", "max_tokens", "timeout_s")
_tenant = tenant_option(help="Whose model it is.")


def _reach_options(command: Any) -> Any:
    """The options that say how a model is reached."""
    for option in (
        click.option("--provider", type=click.Choice(list(BASE_URLS)), help="Without: openai, or any that speaks so."),
        click.option("--base-url", help="Where it is. Without: at the provider's own address."),
        click.option("--with-key", is_flag=True, help="Read its API key: asked for, or the first line of the input."),
        click.option("--temperature", type=click.FloatRange(0, 2)),
        click.option("--max-tokens", type=click.IntRange(1, 1_000_000), help="Of an answer."),
        click.option("--timeout", "timeout_s", type=click.FloatRange(1, 600), help="Seconds. Without: LLM_TIMEOUT."),
    ):
        command = option(command)
    return command


@click.group("model", cls=AppGroup)
def model() -> None:
    """Language models of tenants, by which their bots answer. The service's own is set by LLM_BASE_URL."""


@model.command("list")
@_tenant
@json_option
def list_all(tenant: str, as_json: bool) -> None:
    """List the models, oldest first."""
    with read_as_operator(tenant) as (session, ctx):
        found = chat_models.list_models(session, ctx, Part(MAX_MODELS)).rows
        rows = [_describe(each) for each in chat_models.list_newest(session, ctx, found)]
    click.echo(json.dumps(rows, ensure_ascii=False) if as_json else _format_table(rows))


@model.command("create")
@click.argument("model_id")
@_tenant
@click.option("--name", required=True, help="As its provider calls it, such as gpt-4o-mini.")
@_reach_options
def create(model_id: str, tenant: str, name: str, with_key: bool, **values: Any) -> None:
    """Make a model; MODEL_ID is how bots name it. Nothing is asked of it yet: see `flask model check`."""
    api_key = _read_key() if with_key else ""
    with write_as_operator(tenant) as (session, ctx):
        spec = _merge(None, name=name, **values)
        stored = chat_models.create_model(session, ctx, model_id, spec, api_key, make_keyring(get_settings()))
        click.echo(f"Model {model_id} made, version {stored.row.version}.")


@model.command("set")
@click.argument("model_id")
@_tenant
@click.option("--name", help="As its provider calls it.")
@click.option("--clear", multiple=True, type=click.Choice([*_PARAMETERS, "api_key"]), help="Remove this value.")
@_reach_options
def change(model_id: str, tenant: str, name: str | None, clear: tuple[str, ...], with_key: bool, **values: Any) -> None:
    """Change a model, from the next answer on, on every worker. What is not named stays."""
    api_key = _read_key() if with_key else "" if "api_key" in clear else None
    with write_as_operator(tenant) as (session, ctx):
        former = chat_models.lock_model(session, ctx, model_id).spec
        spec = _merge(former, name=name, clear=clear, **values)
        keys = make_keyring(get_settings())
        changed = chat_models.change_model(session, ctx, model_id, spec, api_key=api_key, keys=keys)
        click.echo(f"Model {model_id}, version {changed.row.version}.")


@model.command("remove")
@click.argument("model_id")
@_tenant
def remove(model_id: str, tenant: str) -> None:
    """Remove a model that no bot answers by."""
    with write_as_operator(tenant) as (session, ctx):
        chat_models.remove_model(session, ctx, model_id)
    click.echo(f"Model {model_id} is removed.")


@model.command("check")
@click.argument("model_id")
@_tenant
def check(model_id: str, tenant: str) -> None:
    """Ask a model for one word, and say how it went."""
    with open_records(to_look=True) as database:
        ctx = find_operator(database, tenant)
        opened = closing(TenantModels(get_settings(), database, make_keyring(get_settings())))
        with _silence_log(), opened as models:
            checked = asyncio.run(models.check(ctx, model_id))
    text = f"It answers: {checked.answer!r}" if not checked.detail else checked.detail
    click.echo(
        make_printable(f"Model {model_id}, version {checked.version}, after {checked.duration_ms:.0f} ms: {text}")
    )
    if checked.detail:
        sys.exit(1)


@contextmanager
def _silence_log() -> Iterator[None]:
    """Keep the log from saying on the terminal, too, why a call failed."""
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _read_key() -> str:
    """The key that somebody types unseen, or sends; no argument, which others could read among the processes."""
    text = click.prompt("API key", hide_input=True) if sys.stdin.isatty() else sys.stdin.readline(1_000)
    api_key = str(text).strip()
    if not API_KEY.fullmatch(api_key):
        raise click.ClickException("An API key has 1 to 500 visible ASCII characters. It is read from the input.")
    return api_key


def _merge(
    former: ModelSpec | None,
    *,
    name: str | None,
    provider: Provider | None,
    base_url: str | None,
    clear: tuple[str, ...] = (),
    **parameters: Any,
) -> ModelSpec:
    """*former* as the options change it."""
    if name is not None and not 0 < len(name.strip()) <= LONGEST_NAME:
        raise BadInput(f"--name has 1 to {LONGEST_NAME} characters.")
    stays = former is not None and base_url is None and provider in (None, former.provider)
    chosen = provider or (former.provider if former else "openai")
    check_provider(chosen)
    address = chat_models.check_base_url(base_url or BASE_URLS[chosen], make_reach(get_settings()))
    cleared = dict.fromkeys(set(clear) & set(_PARAMETERS))
    values = {key: value for key, value in parameters.items() if value is not None}
    return ModelSpec(
        chosen,
        cast(ModelSpec, former).base_url if stays else address,
        name.strip() if name is not None else cast(ModelSpec, former).model,
        replace(former.parameters if former else ModelParameters(), **{**values, **cleared}),
    )


def _describe(stored: StoredModel) -> dict[str, Any]:
    spec, version = stored.spec, stored.version
    parameters = {name: value for name, value in asdict(spec.parameters).items() if value is not None}
    return {
        "id": stored.row.model_id,
        "version": version.version,
        "provider": spec.provider,
        "model": spec.model,
        "base_url": spec.base_url,
        "has_api_key": version.api_key is not None,
        "api_key_end": version.api_key_end or None,
        **parameters,
    }


def _format_table(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "No models: bots answer by the service's own."
    lines = [_HEAD]
    for row in rows:
        key = f"…{row['api_key_end'] or ''}" if row["has_api_key"] else "none"
        parameters = ", ".join(f"{name} {row[name]:g}" for name in _PARAMETERS if name in row)
        named = (row["id"], str(row["version"]), row["provider"], make_printable(row["model"]))
        lines.append((*named, row["base_url"], key, parameters))
    return "\n".join(align_columns(lines))

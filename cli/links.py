"""The operator's command about links to documents: `flask links`."""

import click
from flask.cli import AppGroup

from cli.operator import tenant_option, write_as_operator
from domain import document_links


@click.group("links", cls=AppGroup)
def links() -> None:
    """Links that open documents without a key."""


@links.command("revoke")
@tenant_option(help="Whose.")
@click.option("--document", "document_id", help="Those to this document alone.")
@click.option("--dataset", "dataset_id", help="Those to the documents of this dataset alone.")
@click.option("--yes", is_flag=True, help="Do not ask before all links of a tenant are revoked.")
def revoke(tenant: str, document_id: str | None, dataset_id: str | None, yes: bool) -> None:
    """Let no link that was given out so far open anything any more; conversations that are read again have new ones."""
    if document_id and dataset_id:
        raise click.UsageError("Name a document or a dataset, not both.")
    if not (document_id or dataset_id or yes):
        click.confirm(f"Revoke the links to all documents of {tenant}?", abort=True, err=True)
    with write_as_operator(tenant) as (session, ctx):
        if document_id:
            document_links.revoke_document_links(session, ctx, document_id)
        elif dataset_id:
            document_links.revoke_dataset_links(session, ctx, dataset_id)
        else:
            document_links.revoke_all_links(session, ctx)
    click.echo("Revoked.")

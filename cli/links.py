"""The operator's command about links that need no key: `flask links`."""

import click
from flask.cli import AppGroup

from cli.operator import tenant_option, write_as_operator
from domain import document_links
from domain.conversation_shares import revoke_all_shares


@click.group("links", cls=AppGroup)
def links() -> None:
    """Links that open documents, or conversations, without a key."""


@links.command("revoke")
@tenant_option(help="Whose.")
@click.option("--document", "document_id", help="Those to this document alone.")
@click.option("--dataset", "dataset_id", help="Those to the documents of this dataset alone.")
@click.option("--conversations", is_flag=True, help="Those to conversations, in place of those to documents.")
@click.option("--yes", is_flag=True, help="Do not ask before all links of a tenant are revoked.")
def revoke(tenant: str, document_id: str | None, dataset_id: str | None, conversations: bool, yes: bool) -> None:
    """Let no link that was given out so far open anything any more.

    A conversation that is read again has new links to its documents; one that was shared has to be shared again.
    """
    if bool(document_id) + bool(dataset_id) + conversations > 1:
        raise click.UsageError("Name a document, a dataset, or --conversations: one of them.")
    if not (document_id or dataset_id or yes):
        what = "conversations" if conversations else "documents"
        click.confirm(f"Revoke the links to all {what} of {tenant}?", abort=True, err=True)
    with write_as_operator(tenant) as (session, ctx):
        if document_id:
            document_links.revoke_document_links(session, ctx, document_id)
        elif dataset_id:
            document_links.revoke_dataset_links(session, ctx, dataset_id)
        elif conversations:
            revoke_all_shares(session, ctx)
        else:
            document_links.revoke_all_links(session, ctx)
    click.echo("Revoked.")

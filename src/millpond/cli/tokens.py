"""`millpond token`: API tokens of accounts, for programs."""

from datetime import UTC, datetime, timedelta

import click

from millpond.app import Services
from millpond.base.errors import NotFound
from millpond.base.paths import username_from_email
from millpond.base.settings import Settings
from millpond.cli.administration import ADMINISTRATION_SETTINGS, actor_in, every, operate
from millpond.cli.options import settings_options
from millpond.cli.output import print_json, print_table
from millpond.model.accounts import ListedToken, NewToken, normal_email
from millpond.model.actors import Account
from millpond.services.instance import OPERATOR

MAX_DAYS = 36_500


@click.group()
def token() -> None:
    """Create and revoke the API tokens of accounts."""


@token.command("create")
@click.argument("email")
@click.option("--label", help="What the token is for.")
@click.option(
    "--expires-in-days",
    type=click.IntRange(1, MAX_DAYS),
    metavar="DAYS",
    help="By default it does not expire.",
)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    help="What the token may do, such as 'jobs:run'; may be given again. By default all.",
)
@click.option("--workspace", "workspace_id", metavar="ID", help="Bind the token to one workspace.")
@settings_options(*ADMINISTRATION_SETTINGS)
def create(
    settings: Settings,
    email: str,
    label: str | None,
    expires_in_days: int | None,
    scopes: tuple[str, ...],
    workspace_id: str | None,
) -> None:
    """Create a token and print it: it is shown this once."""
    expiration = None if expires_in_days is None else datetime.now(UTC) + timedelta(days=expires_in_days)
    new = NewToken(label=label, expiration=expiration, scopes=list(scopes) or None, workspace_id=workspace_id)
    click.echo(operate(settings, lambda services: _create(services, email, new)))


async def _create(services: Services, email: str, new: NewToken) -> str:
    owner = await _owner(services, email)
    if new.workspace_id is not None:
        await actor_in(services, new.workspace_id)
    return await services.accounts.create_token(owner, new)


@token.command("list")
@click.argument("email")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@settings_options(*ADMINISTRATION_SETTINGS)
def list_tokens(settings: Settings, email: str, as_json: bool) -> None:
    """List the tokens and sessions of an account, newest first."""
    tokens = operate(settings, lambda services: _list(services, email))
    if as_json:
        print_json(tokens)
        return
    titles = ("PREFIX", "LABEL", "WORKSPACE", "SCOPES", "CREATED", "LAST USED", "EXPIRES")
    print_table(
        titles,
        [
            (
                one.token_prefix,
                one.label,
                one.workspace_id,
                one.scopes,
                one.created_at,
                one.last_used_at,
                one.expiration,
            )
            for one in tokens
        ],
    )


async def _list(services: Services, email: str) -> list[ListedToken]:
    owner = await _owner(services, email)
    return await every(
        lambda limit, offset: services.accounts.list_tokens(owner, limit, offset, without_sessions=False)
    )


@token.command("revoke")
@click.argument("email")
@click.argument("prefix")
@settings_options(*ADMINISTRATION_SETTINGS)
def revoke(settings: Settings, email: str, prefix: str) -> None:
    """Revoke the token of an account that 'token list' shows with this prefix."""
    operate(settings, lambda services: _revoke(services, email, prefix))
    click.echo(f"Revoked {prefix}")


async def _revoke(services: Services, email: str, prefix: str) -> None:
    owner = await _owner(services, email)
    try:
        await services.accounts.revoke_token(owner, prefix)
    except NotFound:
        raise NotFound(
            f"{owner.email} has no token with the prefix {prefix[:60]!r}: see 'millpond token list'"
        ) from None


async def _owner(services: Services, email: str) -> Account:
    """The account whose tokens are meant: the operator acts as the account itself. Raises NotFound."""
    kept = normal_email(email)
    if not await services.accounts.exists(OPERATOR, kept):
        raise NotFound(f"No account {kept}")
    return Account(email=kept, username=username_from_email(kept), is_superadmin=False)

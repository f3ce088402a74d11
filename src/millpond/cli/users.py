"""`millpond user`: the accounts of the instance."""

import sys
from urllib.parse import quote

import click

from millpond.app import Services
from millpond.base.errors import Conflict, InvalidInput
from millpond.base.paths import username_from_email
from millpond.base.settings import Settings
from millpond.cli.administration import ADMINISTRATION_SETTINGS, actor_in, every, operate
from millpond.cli.listening import internal_address
from millpond.cli.options import settings_options
from millpond.cli.output import print_json, print_table
from millpond.cli.workspaces import ROLES, new_member
from millpond.model.accounts import (
    MAX_PASSWORD,
    AccountChange,
    AccountFacts,
    NewAccount,
    check_password,
    normal_email,
)
from millpond.model.workspaces import NewMember
from millpond.services.instance import OPERATOR

# UTF-8 takes at most four bytes a character, and the line may end in two more.
MAX_PASSWORD_BYTES = 4 * MAX_PASSWORD + 2


@click.group()
def user() -> None:
    """Create and change the accounts of the instance."""


@user.command("create")
@click.argument("email")
@click.option("--username", help="Name in paths and workspaces; by default what stands before the '@'.")
@click.option("--superadmin", is_flag=True, help="Let the account administer the instance.")
@click.option(
    "--password-stdin",
    is_flag=True,
    help="Take the password from standard input; without one, only login links open the account.",
)
@click.option(
    "--workspace", "workspace_id", metavar="ID", help="Make the account a member of this workspace."
)
@click.option("--role", type=click.Choice(ROLES), help="Role in --workspace; by default developer.")
@settings_options(*ADMINISTRATION_SETTINGS)
def create(
    settings: Settings,
    email: str,
    username: str | None,
    superadmin: bool,
    password_stdin: bool,
    workspace_id: str | None,
    role: str | None,
) -> None:
    """Create an account."""
    if role is not None and workspace_id is None:
        raise click.UsageError("--role is a role in a workspace: name it with --workspace")
    password = _read_password() if password_stdin else None
    new = NewAccount(email=email, password=password, super_admin=superadmin, username=username)
    member = new_member(normal_email(email), role or "developer", username)
    kept = operate(settings, lambda services: _create(services, new, workspace_id, member))
    click.echo(f"Created {kept}")


async def _create(services: Services, new: NewAccount, workspace_id: str | None, member: NewMember) -> str:
    if workspace_id is None:
        return await services.accounts.create(OPERATOR, new)
    # What would refuse the membership is looked at first: an account alone would be half of what was asked.
    actor = await actor_in(services, workspace_id)
    username = new.username or username_from_email(member.email)
    if await services.workspaces.username_exists(OPERATOR, workspace_id, username):
        raise Conflict(f"User {username} already exists in {workspace_id}: choose another with --username")
    kept = await services.accounts.create(OPERATOR, new)
    await services.workspaces.add_member(actor, member)
    return kept


@user.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@settings_options(*ADMINISTRATION_SETTINGS)
def list_users(settings: Settings, as_json: bool) -> None:
    """List all accounts."""
    accounts = operate(settings, _list)
    if as_json:
        print_json(accounts)
        return
    titles = ("EMAIL", "USERNAME", "SUPERADMIN", "PASSWORD", "CREATED")
    print_table(
        titles,
        [(one.email, one.username, one.super_admin, one.has_password, one.created_at) for one in accounts],
    )


async def _list(services: Services) -> list[AccountFacts]:
    return await every(lambda limit, offset: services.accounts.list_accounts(OPERATOR, limit, offset))


@user.command("set-password")
@click.argument("email")
@click.option("--password-stdin", is_flag=True, help="Take the password from standard input.")
@settings_options(*ADMINISTRATION_SETTINGS)
def set_password(settings: Settings, email: str, password_stdin: bool) -> None:
    """Set the password of an account; its sessions end."""
    if not password_stdin and not sys.stdin.isatty():
        raise click.UsageError("Give the password on standard input, with --password-stdin")
    change = AccountChange(password=_read_password())
    operate(settings, lambda services: services.accounts.update(OPERATOR, email, change))
    click.echo(f"Set the password of {normal_email(email)}")


@user.command("delete")
@click.argument("email")
@settings_options(*ADMINISTRATION_SETTINGS)
def delete(settings: Settings, email: str) -> None:
    """Delete an account, its memberships and its tokens; what it deployed stays."""
    operate(settings, lambda services: services.accounts.delete(OPERATOR, email))
    click.echo(f"Deleted {normal_email(email)}")


@user.command("login-link")
@click.argument("email")
@settings_options(*ADMINISTRATION_SETTINGS, "host", "port", "base_url")
def login_link(settings: Settings, email: str) -> None:
    """Print a link that logs in once, within an hour."""
    if settings.base_url is None and settings.port == 0:
        raise click.UsageError(
            "Port 0 is no address: say with --port or --base-url where the server is reached"
        )
    secret = operate(settings, lambda services: services.accounts.create_login_link(email))
    address = (settings.base_url or internal_address(settings, settings.port)).rstrip("/")
    click.echo(f"{address}/api/auth/link/{quote(secret)}")


def _read_password() -> str:
    """One line of standard input, typed unseen when it is a terminal. Raises InvalidInput."""
    if sys.stdin.isatty():
        typed: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return check_password(typed)
    given = sys.stdin.buffer.read(MAX_PASSWORD_BYTES + 1)
    try:
        text = given.decode()
    except UnicodeDecodeError:
        raise InvalidInput("The password on standard input is no UTF-8 text") from None
    line = text.removesuffix("\n").removesuffix("\r")
    if "\n" in line:
        raise InvalidInput("The password on standard input must be a single line")
    return check_password(line)

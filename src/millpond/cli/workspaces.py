"""`millpond workspace`: the workspaces of the instance, and who enters them."""

from typing import get_args

import click

from millpond.app import Services
from millpond.base.settings import Settings
from millpond.cli.administration import ADMINISTRATION_SETTINGS, actor_in, every, operate
from millpond.cli.options import settings_options
from millpond.cli.output import print_json, print_table
from millpond.model.actors import Role
from millpond.model.members import Member
from millpond.model.workspaces import NewMember, NewWorkspace, Workspace
from millpond.services.instance import OPERATOR

ROLES: tuple[str, ...] = get_args(Role)


def new_member(email: str, role: str, username: str | None) -> NewMember:
    """The membership that a role of the command line stands for."""
    return NewMember(email=email, username=username, is_admin=role == "admin", operator=role == "operator")


@click.group()
def workspace() -> None:
    """Create workspaces and decide who enters them."""


@workspace.command("create")
@click.argument("workspace_id", metavar="ID")
@click.option("--name", help="Name to show; by default the id.")
@settings_options(*ADMINISTRATION_SETTINGS)
def create(settings: Settings, workspace_id: str, name: str | None) -> None:
    """Create a workspace, with the first superadmin as its administrator."""
    new = NewWorkspace(id=workspace_id, name=workspace_id if name is None else name)
    operate(settings, lambda services: services.workspaces.create(OPERATOR, new))
    click.echo(f"Created {workspace_id}")


@workspace.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; 'deleted' is the API's word for archived.")
@settings_options(*ADMINISTRATION_SETTINGS)
def list_workspaces(settings: Settings, as_json: bool) -> None:
    """List all workspaces, archived ones included."""
    workspaces = operate(settings, _list)
    if as_json:
        print_json(workspaces)
        return
    titles = ("ID", "NAME", "OWNER", "ARCHIVED", "CREATED")
    print_table(titles, [(one.id, one.name, one.owner, one.deleted, one.created_at) for one in workspaces])


async def _list(services: Services) -> list[Workspace]:
    return await every(lambda limit, offset: services.workspaces.list_all(OPERATOR, limit, offset))


@workspace.command("archive")
@click.argument("workspace_id", metavar="ID")
@settings_options(*ADMINISTRATION_SETTINGS)
def archive(settings: Settings, workspace_id: str) -> None:
    """Close a workspace: nobody enters it, and nothing of it is deleted."""
    operate(settings, lambda services: _archive(services, workspace_id))
    click.echo(f"Archived {workspace_id}")


async def _archive(services: Services, workspace_id: str) -> None:
    await services.workspaces.archive(await actor_in(services, workspace_id))


@workspace.command("unarchive")
@click.argument("workspace_id", metavar="ID")
@settings_options(*ADMINISTRATION_SETTINGS)
def unarchive(settings: Settings, workspace_id: str) -> None:
    """Open an archived workspace again."""
    operate(settings, lambda services: services.workspaces.unarchive(OPERATOR, workspace_id))
    click.echo(f"Unarchived {workspace_id}")


@workspace.command("users")
@click.argument("workspace_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@settings_options(*ADMINISTRATION_SETTINGS)
def list_users(settings: Settings, workspace_id: str, as_json: bool) -> None:
    """List the members of a workspace."""
    members = operate(settings, lambda services: _members(services, workspace_id))
    if as_json:
        print_json(members)
        return
    titles = ("USERNAME", "EMAIL", "ROLE", "DISABLED", "GROUPS")
    print_table(titles, [(one.username, one.email, one.role, one.disabled, one.groups) for one in members])


async def _members(services: Services, workspace_id: str) -> list[Member]:
    actor = await actor_in(services, workspace_id)
    return await every(lambda limit, offset: services.members.list_members(actor, limit, offset))


@workspace.command("add-user")
@click.argument("workspace_id", metavar="ID")
@click.argument("email")
@click.option(
    "--role", type=click.Choice(ROLES), default="developer", show_default=True, help="What the member may do."
)
@click.option("--username", help="Name in the workspace; by default what stands before the '@'.")
@settings_options(*ADMINISTRATION_SETTINGS)
def add_user(settings: Settings, workspace_id: str, email: str, role: str, username: str | None) -> None:
    """Make an account a member of a workspace."""
    member = new_member(email, role, username)
    added = operate(settings, lambda services: _add(services, workspace_id, member))
    click.echo(f"Added {added} to {workspace_id}")


async def _add(services: Services, workspace_id: str, member: NewMember) -> str:
    return await services.workspaces.add_member(await actor_in(services, workspace_id), member)

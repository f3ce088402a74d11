"""`/workspaces` and `/w/{workspace}/workspaces`: workspaces from outside, and the one that was entered."""

from litestar import Response, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, RawBody

from millpond.api.bodies import created, decode, json_of, page_of, text
from millpond.api.openapi import accepts, answers
from millpond.model.actors import Account, Actor
from millpond.model.workspaces import (
    Memberships,
    NewMember,
    NewWorkspace,
    Workspace,
    WorkspaceId,
    WorkspaceName,
    WorkspaceSettings,
    WorkspaceUsername,
)
from millpond.services.workspaces import Workspaces


@get("/list", opt=answers(list[Workspace]))
async def list_own(
    account: NamedDependency[Account], workspaces: NamedDependency[Workspaces]
) -> Response[bytes]:
    """Workspaces the account is a member of."""
    return json_of(await workspaces.list_own(account))


@get("/users", opt=answers(Memberships))
async def list_memberships(
    account: NamedDependency[Account], workspaces: NamedDependency[Workspaces]
) -> Response[bytes]:
    """The same, with who the account is there."""
    return json_of(await workspaces.list_memberships(account))


@get("/list_as_superadmin", opt=answers(list[Workspace]))
async def list_all(
    account: NamedDependency[Account],
    workspaces: NamedDependency[Workspaces],
    page: FromQuery[int | None] = None,
    per_page: FromQuery[int | None] = None,
) -> Response[bytes]:
    """All workspaces (superadmins)."""
    where = page_of(page, per_page)
    return json_of(await workspaces.list_all(account, where.limit, where.offset))


@post("/create", opt=accepts(NewWorkspace))
async def create(
    account: NamedDependency[Account], workspaces: NamedDependency[Workspaces], body: RawBody
) -> Response[str]:
    """Create a workspace (superadmins)."""
    new = decode(body, NewWorkspace)
    await workspaces.create(account, new)
    return created(f"Created workspace {new.id}")


@post("/exists", status_code=200, opt=accepts(WorkspaceId) | answers(bool))
async def exists(
    account: NamedDependency[Account], workspaces: NamedDependency[Workspaces], body: RawBody
) -> Response[bytes]:
    """Whether the id is taken."""
    return json_of(await workspaces.exists(account, decode(body, WorkspaceId).id))


@post("/exists_username", status_code=200, opt=accepts(WorkspaceUsername) | answers(bool))
async def exists_username(
    account: NamedDependency[Account], workspaces: NamedDependency[Workspaces], body: RawBody
) -> Response[bytes]:
    """Whether the username is taken in a workspace."""
    asked = decode(body, WorkspaceUsername)
    return json_of(await workspaces.username_exists(account, asked.id, asked.username))


@post("/unarchive/{workspace_id:str}", status_code=200)
async def unarchive(
    account: NamedDependency[Account], workspaces: NamedDependency[Workspaces], workspace_id: FromPath[str]
) -> Response[str]:
    """Bring an archived workspace back (superadmins)."""
    await workspaces.unarchive(account, workspace_id)
    return text(f"Unarchived workspace {workspace_id}")


@delete("/delete/{workspace_id:str}", status_code=200)
async def delete_workspace(
    account: NamedDependency[Account], workspaces: NamedDependency[Workspaces], workspace_id: FromPath[str]
) -> Response[str]:
    """Delete an archived workspace for good (superadmins)."""
    await workspaces.delete(account, workspace_id)
    return text(f"Deleted workspace {workspace_id}")


@post("/archive", status_code=200)
async def archive(actor: NamedDependency[Actor], workspaces: NamedDependency[Workspaces]) -> Response[str]:
    """Close the workspace (administrators)."""
    await workspaces.archive(actor)
    return text(f"Archived workspace {actor.workspace_id}")


@get("/get_workspace_name")
async def name(actor: NamedDependency[Actor], workspaces: NamedDependency[Workspaces]) -> Response[str]:
    """The workspace's name."""
    return text(await workspaces.name(actor))


@get("/get_settings", opt=answers(WorkspaceSettings))
async def settings(actor: NamedDependency[Actor], workspaces: NamedDependency[Workspaces]) -> Response[bytes]:
    """What is set for the workspace."""
    return json_of(await workspaces.settings(actor))


@post("/change_workspace_name", status_code=200, opt=accepts(WorkspaceName))
async def rename(
    actor: NamedDependency[Actor], workspaces: NamedDependency[Workspaces], body: RawBody
) -> Response[str]:
    """Give the workspace another name (administrators)."""
    await workspaces.rename(actor, decode(body, WorkspaceName).new_name)
    return text(f"updated workspace name of {actor.workspace_id}")


@post("/add_user", opt=accepts(NewMember))
async def add_user(
    actor: NamedDependency[Actor], workspaces: NamedDependency[Workspaces], body: RawBody
) -> Response[str]:
    """Make an account a member (administrators)."""
    new = decode(body, NewMember)
    await workspaces.add_member(actor, new)
    return created(f"user with email {new.email} added")


instance_router = Router(
    "/workspaces",
    route_handlers=[
        list_own,
        list_memberships,
        list_all,
        create,
        exists,
        exists_username,
        unarchive,
        delete_workspace,
    ],
    tags=["workspaces"],
)
router = Router(
    "/workspaces", route_handlers=[archive, name, settings, rename, add_user], tags=["workspaces"]
)

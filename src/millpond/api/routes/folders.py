"""`/w/{workspace}/folders`: who may read and write what lies below `f/<name>/`."""

from litestar import Response, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, RawBody

from millpond.api.bodies import decode, json_of, page_of, text
from millpond.api.openapi import accepts, answers
from millpond.model.actors import Actor
from millpond.model.folders import Folder, FolderChange, FolderOwner, FolderUsage, NewFolder
from millpond.services.folders import Folders


@get("/list", opt=answers(list[Folder]))
async def list_folders(
    actor: NamedDependency[Actor],
    folders: NamedDependency[Folders],
    page: FromQuery[int | None] = None,
    per_page: FromQuery[int | None] = None,
) -> Response[bytes]:
    """Folders the actor may read."""
    where = page_of(page, per_page)
    return json_of(await folders.list_folders(actor, where.limit, where.offset))


@get("/listnames", opt=answers(list[str]))
async def list_names(actor: NamedDependency[Actor], folders: NamedDependency[Folders]) -> Response[bytes]:
    """Their names."""
    return json_of(await folders.list_names(actor))


@get("/get/{name:str}", opt=answers(Folder))
async def get_folder(
    actor: NamedDependency[Actor], folders: NamedDependency[Folders], name: FromPath[str]
) -> Response[bytes]:
    """One folder."""
    return json_of(await folders.get(actor, name))


@get("/exists/{name:str}", opt=answers(bool))
async def exists(
    actor: NamedDependency[Actor], folders: NamedDependency[Folders], name: FromPath[str]
) -> Response[bytes]:
    """Whether the name is taken."""
    return json_of(await folders.exists(actor, name))


@get("/getusage/{name:str}", opt=answers(FolderUsage))
async def usage(
    actor: NamedDependency[Actor], folders: NamedDependency[Folders], name: FromPath[str]
) -> Response[bytes]:
    """How many items lie in it."""
    return json_of(await folders.usage(actor, name))


@get("/is_owner/{name:str}", opt=answers(bool))
async def is_owner(
    actor: NamedDependency[Actor], folders: NamedDependency[Folders], name: FromPath[str]
) -> Response[bytes]:
    """Whether the actor may change it."""
    return json_of(await folders.is_owner(actor, name))


@post("/create", status_code=200, opt=accepts(NewFolder))
async def create(
    actor: NamedDependency[Actor], folders: NamedDependency[Folders], body: RawBody
) -> Response[str]:
    """Create a folder."""
    new = decode(body, NewFolder)
    await folders.create(actor, new)
    return text(f"Created folder {new.name}")


@post("/update/{name:str}", status_code=200, opt=accepts(FolderChange))
async def update(
    actor: NamedDependency[Actor], folders: NamedDependency[Folders], name: FromPath[str], body: RawBody
) -> Response[str]:
    """Change what the body gives."""
    await folders.update(actor, name, decode(body, FolderChange))
    return text(f"folder {name} updated")


@delete("/delete/{name:str}", status_code=200)
async def delete_folder(
    actor: NamedDependency[Actor], folders: NamedDependency[Folders], name: FromPath[str]
) -> Response[str]:
    """Delete a folder, not what lies in it."""
    await folders.delete(actor, name)
    return text(f"deleted folder {name}")


@post("/addowner/{name:str}", status_code=200, opt=accepts(FolderOwner))
async def add_owner(
    actor: NamedDependency[Actor], folders: NamedDependency[Folders], name: FromPath[str], body: RawBody
) -> Response[str]:
    """Make a principal an owner."""
    new = decode(body, FolderOwner)
    await folders.add_owner(actor, name, new)
    return text(f"Added {new.owner} to folder {name}")


@post("/removeowner/{name:str}", status_code=200, opt=accepts(FolderOwner))
async def remove_owner(
    actor: NamedDependency[Actor], folders: NamedDependency[Folders], name: FromPath[str], body: RawBody
) -> Response[str]:
    """Take ownership away."""
    former = decode(body, FolderOwner)
    await folders.remove_owner(actor, name, former)
    return text(f"Removed {former.owner} from folder {name}")


router = Router(
    "/folders",
    route_handlers=[
        list_folders,
        list_names,
        get_folder,
        exists,
        usage,
        is_owner,
        create,
        update,
        delete_folder,
        add_owner,
        remove_owner,
    ],
    tags=["folders"],
)

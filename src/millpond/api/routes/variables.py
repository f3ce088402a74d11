"""`/w/{workspace}/variables`: variables and secrets."""

from litestar import Response, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, RawBody

from millpond.api.bodies import created, decode, json_of, page_of, path_of, split_list, text
from millpond.api.openapi import accepts, answers
from millpond.model.actors import Actor
from millpond.model.resources import Paths
from millpond.model.variables import (
    ContextualVariable,
    NewVariable,
    Variable,
    VariableChange,
    VariableFilters,
)
from millpond.services.variables import Variables


@get("/list", opt=answers(list[Variable]))
async def list_variables(
    *,
    actor: NamedDependency[Actor],
    variables: NamedDependency[Variables],
    page: FromQuery[int | None] = None,
    per_page: FromQuery[int | None] = None,
    path_start: FromQuery[str | None] = None,
    path: FromQuery[str | None] = None,
    description: FromQuery[str | None] = None,
    value: FromQuery[str | None] = None,
    broad_filter: FromQuery[str | None] = None,
    label: FromQuery[str | None] = None,
) -> Response[bytes]:
    """Visible variables, values of secrets left out."""
    filters = VariableFilters(
        path_start=path_start,
        path=path,
        description=description,
        value=value,
        broad_filter=broad_filter,
        labels=split_list(label),
    )
    where = page_of(page, per_page)
    return json_of(await variables.list_variables(actor, filters, where.limit, where.offset))


@get("/list_contextual", opt=answers(list[ContextualVariable]))
async def list_contextual(
    actor: NamedDependency[Actor], variables: NamedDependency[Variables]
) -> Response[bytes]:
    """The environment variables of jobs, with example values."""
    return json_of(await variables.list_contextual(actor))


@get("/get/{path:path}", opt=answers(Variable))
async def get_variable(
    actor: NamedDependency[Actor],
    variables: NamedDependency[Variables],
    path: FromPath[str],
    decrypt_secret: FromQuery[bool] = True,
    include_encrypted: FromQuery[bool] = False,
) -> Response[bytes]:
    """One variable."""
    variable = await variables.get(
        actor, path_of(path), decrypt_secret=decrypt_secret, include_encrypted=include_encrypted
    )
    return json_of(variable)


@get("/get_value/{path:path}", opt=answers(str))
async def get_value(
    actor: NamedDependency[Actor], variables: NamedDependency[Variables], path: FromPath[str]
) -> Response[bytes]:
    """The value alone, secrets opened."""
    return json_of(await variables.get_value(actor, path_of(path)))


@get("/exists/{path:path}", opt=answers(bool))
async def exists(
    actor: NamedDependency[Actor], variables: NamedDependency[Variables], path: FromPath[str]
) -> Response[bytes]:
    """Whether the path is taken."""
    return json_of(await variables.exists(actor, path_of(path)))


@post("/create", opt=accepts(NewVariable))
async def create(
    actor: NamedDependency[Actor],
    variables: NamedDependency[Variables],
    body: RawBody,
    already_encrypted: FromQuery[bool] = False,
) -> Response[str]:
    """Create a variable."""
    new = decode(body, NewVariable)
    await variables.create(actor, new, already_encrypted=already_encrypted)
    return created(f"variable {new.path} created")


@post("/update/{path:path}", status_code=200, opt=accepts(VariableChange))
async def update(
    actor: NamedDependency[Actor],
    variables: NamedDependency[Variables],
    path: FromPath[str],
    body: RawBody,
    already_encrypted: FromQuery[bool] = False,
) -> Response[str]:
    """Change what the body gives."""
    old = path_of(path)
    new = await variables.update(
        actor, old, decode(body, VariableChange), already_encrypted=already_encrypted
    )
    return text(f'variable {old} updated (npath: "{new}")')


@delete("/delete/{path:path}", status_code=200)
async def delete_variable(
    actor: NamedDependency[Actor], variables: NamedDependency[Variables], path: FromPath[str]
) -> Response[str]:
    """Delete one variable."""
    await variables.delete(actor, path_of(path))
    return text(f"variable {path_of(path)} deleted")


@delete("/delete_bulk", status_code=200, opt=accepts(Paths) | answers(list[str]))
async def delete_bulk(
    actor: NamedDependency[Actor], variables: NamedDependency[Variables], body: RawBody
) -> Response[bytes]:
    """Delete several; the paths that existed."""
    return json_of(await variables.delete_bulk(actor, decode(body, Paths).paths))


@post("/encrypt", status_code=200, opt=accepts(str))
async def encrypt(
    actor: NamedDependency[Actor], variables: NamedDependency[Variables], body: RawBody
) -> Response[str]:
    """The ciphertext of a value."""
    return text(await variables.encrypt(actor, decode(body, str)))


router = Router(
    "/variables",
    route_handlers=[
        list_variables,
        list_contextual,
        get_variable,
        get_value,
        exists,
        create,
        update,
        delete_variable,
        delete_bulk,
        encrypt,
    ],
    tags=["variables"],
)

"""`/users` and `/settings/global`: the instance's accounts and their tokens."""

from litestar import Response, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, RawBody

from millpond.api.auth import AnyRequest, token_of
from millpond.api.bodies import created, decode, json_of, page_of, text
from millpond.api.openapi import accepts, answers
from millpond.model.accounts import (
    AccountChange,
    AccountFacts,
    ListedToken,
    NewAccount,
    NewPassword,
    NewToken,
)
from millpond.model.actors import Account
from millpond.services.accounts import Accounts


@get("/whoami", opt=answers(AccountFacts))
async def whoami(account: NamedDependency[Account], accounts: NamedDependency[Accounts]) -> Response[bytes]:
    """The account that asks."""
    return json_of(await accounts.whoami(account))


@get("/email")
async def email(account: NamedDependency[Account], accounts: NamedDependency[Accounts]) -> Response[str]:
    """Its e-mail."""
    return text(await accounts.email_of(account))


@post("/setpassword", status_code=200, opt=accepts(NewPassword))
async def set_password(
    request: AnyRequest, account: NamedDependency[Account], accounts: NamedDependency[Accounts], body: RawBody
) -> Response[str]:
    """Set one's own password; other sessions end."""
    await accounts.set_password(account, decode(body, NewPassword).password, token_of(request))
    return text("password updated")


@post("/tokens/create", opt=accepts(NewToken))
async def create_token(
    request: AnyRequest, account: NamedDependency[Account], accounts: NamedDependency[Accounts], body: RawBody
) -> Response[str]:
    """Create a token: its text, shown this once. It ends with the token that asks, and after a day if that is a job's."""
    answer = created(await accounts.create_token(account, decode(body, NewToken), token_of(request)))
    answer.headers["cache-control"] = "no-store"
    return answer


@get("/tokens/list", opt=answers(list[ListedToken]))
async def list_tokens(
    account: NamedDependency[Account],
    accounts: NamedDependency[Accounts],
    exclude_ephemeral: FromQuery[bool] = False,
    page: FromQuery[int | None] = None,
    per_page: FromQuery[int | None] = None,
) -> Response[bytes]:
    """Own tokens; sessions are the ephemeral ones."""
    where = page_of(page, per_page)
    return json_of(
        await accounts.list_tokens(account, where.limit, where.offset, without_sessions=exclude_ephemeral)
    )


@delete("/tokens/delete/{prefix:str}", status_code=200)
async def delete_token(
    account: NamedDependency[Account], accounts: NamedDependency[Accounts], prefix: FromPath[str]
) -> Response[str]:
    """Revoke a token by its first ten characters."""
    await accounts.revoke_token(account, prefix)
    return text(f"token {prefix} deleted")


@post("/create", opt=accepts(NewAccount))
async def create(
    account: NamedDependency[Account], accounts: NamedDependency[Accounts], body: RawBody
) -> Response[str]:
    """Create an account (superadmins)."""
    return created(f"user created {await accounts.create(account, decode(body, NewAccount))}")


@post("/update/{email:str}", status_code=200, opt=accepts(AccountChange))
async def update(
    account: NamedDependency[Account],
    accounts: NamedDependency[Accounts],
    email: FromPath[str],
    body: RawBody,
) -> Response[str]:
    """Change an account (superadmins)."""
    await accounts.update(account, email, decode(body, AccountChange))
    return text(f"user {email} updated")


@delete("/delete/{email:str}", status_code=200)
async def delete_account(
    account: NamedDependency[Account], accounts: NamedDependency[Accounts], email: FromPath[str]
) -> Response[str]:
    """Delete an account (superadmins)."""
    await accounts.delete(account, email)
    return text(f"user {email} deleted")


@get("/list_as_super_admin", opt=answers(list[AccountFacts]))
async def list_as_superadmin(
    account: NamedDependency[Account],
    accounts: NamedDependency[Accounts],
    page: FromQuery[int | None] = None,
    per_page: FromQuery[int | None] = None,
) -> Response[bytes]:
    """All accounts (superadmins)."""
    where = page_of(page, per_page)
    return json_of(await accounts.list_accounts(account, where.limit, where.offset))


@get("/exists/{email:str}", opt=answers(bool))
async def exists(
    account: NamedDependency[Account], accounts: NamedDependency[Accounts], email: FromPath[str]
) -> Response[bytes]:
    """Whether an e-mail has an account (superadmins)."""
    return json_of(await accounts.exists(account, email))


@get("/global/{name:str}")
async def global_setting(
    account: NamedDependency[Account], accounts: NamedDependency[Accounts], name: FromPath[str]
) -> Response[bytes]:
    """A setting of Windmill's instances, asked for by its clients: none is set."""
    await accounts.setting(account, name)
    return json_of(None)


router = Router(
    "/users",
    route_handlers=[
        whoami,
        email,
        set_password,
        create_token,
        list_tokens,
        delete_token,
        create,
        update,
        delete_account,
        list_as_superadmin,
        exists,
    ],
    tags=["accounts"],
)
settings_router = Router("/settings", route_handlers=[global_setting], tags=["accounts"])

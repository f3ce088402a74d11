"""Instance accounts: logins, login links, tokens, and what superadmins do with accounts."""

from datetime import UTC, datetime, timedelta

import msgspec

from millpond.base.clock import SystemClock
from millpond.base.errors import Conflict, InvalidInput, NotAuthenticated, NotFound, PermissionDenied
from millpond.base.ids import new_secret
from millpond.base.paths import check_name, username_from_email
from millpond.model.accounts import (
    MAX_LABEL,
    MAX_SCOPES,
    PREFIX_LENGTH,
    AccountChange,
    AccountFacts,
    ListedToken,
    NewAccount,
    NewToken,
    check_email,
    check_password,
    normal_email,
)
from millpond.model.actors import Account
from millpond.model.permissions import check_scope, scope_within
from millpond.services.authorization import authorize_account, require_superadmin
from millpond.services.identities import Identities, digest_of
from millpond.services.login_throttle import LoginThrottle
from millpond.services.passwords import Passwords
from millpond.store import accounts as store
from millpond.store import tokens as token_store
from millpond.store.pool import Database, Transaction

TOKEN_MARK = "mp_"  # noqa: S105  # a token must not begin with '-', which a command line takes for an option
SESSION_LIFETIME = timedelta(days=30)
LINK_LIFETIME = timedelta(hours=1)
JOBS_TOKEN_LIFETIME = timedelta(days=1)


class Accounts:
    """Use cases on accounts. Those without an account first are how one becomes one."""

    def __init__(self, database: Database, identities: Identities) -> None:
        self._database = database
        self._identities = identities
        self._passwords = Passwords()
        self._throttle = LoginThrottle(SystemClock())

    # Becoming somebody

    async def login(self, email: str, password: str) -> str:
        """A session's token. Raises NotAuthenticated, as slowly for an unknown e-mail as for a known one."""
        email = normal_email(email)
        self._throttle.check(email)
        async with self._database.statement() as connection:
            kept = await store.get_password_hash(connection, email)
        if not await self._passwords.matches(password, kept):
            raise NotAuthenticated("the e-mail or the password is wrong")
        self._throttle.succeeded(email)
        async with self._database.transaction() as transaction:
            return await self._start_session(transaction, email)

    async def logout(self, token: str) -> None:
        """End a session; a token that is none, or unknown, is left as it is."""
        async with self._database.statement() as connection:
            await token_store.end_session(connection, digest_of(token))
        self._identities.forget_all()

    async def create_login_link(self, email: str) -> str:
        """The secret of a link that logs in once, within an hour. Raises NotFound.

        Not an endpoint: called by the command line, on the instance's own machine.
        """
        secret = new_secret()
        async with self._database.transaction() as transaction:
            if not await store.insert_login_link(
                transaction, digest_of(secret), normal_email(email), LINK_LIFETIME
            ):
                raise NotFound(f"No account {email}")
        return secret

    async def redeem_login_link(self, secret: str) -> str:
        """A session's token. Raises NotAuthenticated when the link was used, is over, or never was."""
        async with self._database.transaction() as transaction:
            link = await store.redeem_login_link(transaction, digest_of(secret))
            if link is not None and link.is_valid:
                return await self._start_session(transaction, link.email)
        raise NotAuthenticated("the login link was used already, or is over an hour old; make a new one")

    async def ensure_superadmin(self, email: str, username: str) -> bool:
        """Make the first superadmin, who logs in by a link; False, changing nothing, when there is one."""
        check_name(username, "user")
        async with self._database.transaction() as transaction:
            return await store.ensure_superadmin(transaction, check_email(email), username)

    async def has_password(self, email: str) -> bool:
        """Whether the account can log in by password. Raises NotFound. Not an endpoint: for the command line."""
        async with self._database.statement() as connection:
            stored = await store.get_password_hash(connection, normal_email(email))
        return stored is not None

    # One's own account

    async def whoami(self, account: Account) -> AccountFacts:
        """The account that asks, as it is stored."""
        authorize_account(account, "users", "read")
        async with self._database.statement() as connection:
            stored = await store.get_account(connection, account.email)
        return stored or _unstored(account)

    async def email_of(self, account: Account) -> str:
        """The e-mail of the account that asks."""
        authorize_account(account, "users", "read")
        return account.email

    async def setting(self, account: Account, name: str) -> None:
        """An instance setting as Windmill has them: none is set."""
        authorize_account(account, "settings", "read")
        check_name(name, "setting")

    async def set_password(self, account: Account, password: str, current_token: str | None) -> None:
        """Set one's own password; every other session ends. Raises PermissionDenied for limited tokens."""
        authorize_account(account, "users", "write")
        _require_unlimited(account)
        kept = await self._passwords.hash(check_password(password))
        spared = None if current_token is None else digest_of(current_token)
        async with self._database.transaction() as transaction:
            if not await store.update_account(transaction, account.email, AccountChange(), kept):
                raise NotFound(f"No account {account.email}")
            await token_store.end_sessions(transaction, account.email, spared)
        self._identities.forget_all()

    async def create_token(self, account: Account, new: NewToken, asked_with: str | None = None) -> str:
        """A token with at most the powers of the one that asks, `asked_with`: its text, shown this once.

        It ends with that one, unless that is a session; a day from now if a job asks. Raises PermissionDenied for scopes
        or a workspace beyond those, InvalidInput, NotFound.
        """
        authorize_account(account, "users", "write")
        granted = _within(account, _checked(new))
        token = TOKEN_MARK + new_secret()
        async with self._database.statement() as connection:
            kept = await token_store.insert_token(
                connection,
                digest_of(token),
                token[:PREFIX_LENGTH],
                account.email,
                granted,
                asked_with=None if asked_with is None else digest_of(asked_with),
                longest=None if account.job is None else JOBS_TOKEN_LIFETIME,
            )
        if not kept:
            raise NotFound(f"No account {account.email}: tokens belong to accounts")
        return token

    async def list_tokens(
        self, account: Account, limit: int, offset: int, *, without_sessions: bool
    ) -> list[ListedToken]:
        """Own tokens, newest first; one bound to a workspace sees those bound to it."""
        authorize_account(account, "users", "read")
        async with self._database.statement() as connection:
            return await token_store.list_tokens(
                connection,
                account.email,
                account.workspace_id,
                limit,
                offset,
                without_sessions=without_sessions,
            )

    async def revoke_token(self, account: Account, prefix: str) -> None:
        """Delete own tokens by their first ten characters. Raises NotFound."""
        authorize_account(account, "users", "write")
        async with self._database.statement() as connection:
            if await token_store.revoke_token(connection, account.email, prefix, account.workspace_id) == 0:
                raise NotFound(f"You have no token that begins with {prefix[:PREFIX_LENGTH]}")
        self._identities.forget_all()

    # Superadmins

    async def list_accounts(self, account: Account, limit: int, offset: int) -> list[AccountFacts]:
        """All accounts by e-mail. Raises PermissionDenied."""
        authorize_account(account, "users", "read")
        require_superadmin(account)
        async with self._database.statement() as connection:
            return await store.list_accounts(connection, limit, offset)

    async def exists(self, account: Account, email: str) -> bool:
        """Whether the e-mail has an account. Raises PermissionDenied."""
        authorize_account(account, "users", "read")
        require_superadmin(account)
        async with self._database.statement() as connection:
            return await store.account_exists(connection, normal_email(email))

    async def create(self, account: Account, new: NewAccount) -> str:
        """Create an account; its e-mail as kept. Raises PermissionDenied, InvalidInput, Conflict."""
        authorize_account(account, "users", "write")
        require_superadmin(account)
        _require_unlimited(account)
        kept = msgspec.structs.replace(new, email=check_email(new.email))
        username = check_name(new.username or username_from_email(kept.email), "user")
        password_hash = (
            None if new.password is None else await self._passwords.hash(check_password(new.password))
        )
        async with self._database.statement() as connection:
            if not await store.insert_account(connection, kept, username, password_hash):
                raise Conflict(f"Account {kept.email} already exists")
        return kept.email

    async def update(self, account: Account, email: str, change: AccountChange) -> None:
        """Change it; a new password ends its sessions. Raises PermissionDenied, NotFound, Conflict."""
        authorize_account(account, "users", "write")
        require_superadmin(account)
        _require_unlimited(account)
        email = normal_email(email)
        kept = (
            None if change.password is None else await self._passwords.hash(check_password(change.password))
        )
        async with self._database.transaction() as transaction:
            if change.is_super_admin is False:
                await _require_other_superadmin(transaction, email)
            if not await store.update_account(transaction, email, change, kept):
                raise NotFound(f"No account {email}")
            if kept is not None:
                await token_store.end_sessions(transaction, email, None)
        self._identities.forget_all()

    async def delete(self, account: Account, email: str) -> None:
        """Delete an account, its memberships and tokens. Raises PermissionDenied, NotFound, Conflict."""
        authorize_account(account, "users", "write")
        require_superadmin(account)
        _require_unlimited(account)
        email = normal_email(email)
        async with self._database.transaction() as transaction:
            await _require_other_superadmin(transaction, email)
            await store.forget_grants(transaction, email, None)
            if not await store.delete_account(transaction, email):
                raise NotFound(f"No account {email}")
        self._identities.forget_all()

    async def _start_session(self, transaction: Transaction, email: str) -> str:
        token = TOKEN_MARK + new_secret()
        prefix = token[:PREFIX_LENGTH]
        if not await token_store.insert_session(
            transaction, digest_of(token), prefix, email, SESSION_LIFETIME
        ):
            raise NotAuthenticated("the account was deleted meanwhile")
        return token


async def _require_other_superadmin(transaction: Transaction, email: str) -> None:
    if await store.lock_superadmins(transaction) == [email]:
        raise Conflict(f"{email} is the last superadmin: make another one first")


def _require_unlimited(account: Account) -> None:
    # What sets passwords or makes accounts leads to a session, which has no limits.
    if account.scopes is not None or account.workspace_id is not None:
        raise PermissionDenied(
            "A token limited to scopes or to a workspace cannot do this: log in, or use a full token"
        )


def _checked(new: NewToken) -> NewToken:
    if len(new.label or "") > MAX_LABEL or len(new.scopes or ()) > MAX_SCOPES:
        raise InvalidInput(f"A label has at most {MAX_LABEL} characters, a token at most {MAX_SCOPES} scopes")
    for scope in new.scopes or ():
        check_scope(scope)
    if new.expiration is None:
        return new
    expiration = new.expiration if new.expiration.tzinfo else new.expiration.replace(tzinfo=UTC)
    if expiration <= datetime.now(UTC):
        raise InvalidInput(f"The expiration {expiration.isoformat()} is in the past")
    return msgspec.structs.replace(new, expiration=expiration)


def _within(account: Account, new: NewToken) -> NewToken:
    workspace_id = new.workspace_id or account.workspace_id
    if account.workspace_id not in (None, workspace_id):
        raise PermissionDenied(
            f"The token opens workspace {account.workspace_id} only, it cannot grant {workspace_id}"
        )
    held = account.scopes
    scopes = list(held) if new.scopes is None and held is not None else new.scopes
    for scope in scopes or ():
        if not scope_within(held, scope):
            raise PermissionDenied(f"The token's scopes do not cover {scope}, it cannot grant it")
    return msgspec.structs.replace(new, workspace_id=workspace_id, scopes=scopes)


def _unstored(account: Account) -> AccountFacts:
    # The superadmin secret acts as an account that need not exist.
    return AccountFacts(
        email=account.email,
        username=account.username,
        super_admin=account.is_superadmin,
        name=None,
        company=None,
        operator_only=False,
        has_password=False,
        created_at=datetime.fromtimestamp(0, UTC),
    )

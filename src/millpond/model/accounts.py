"""Instance accounts, logins and tokens: their shapes on the wire (compat facts, clients 3.3)."""

import re
from datetime import datetime

import msgspec

from millpond.base.errors import InvalidInput

MAX_EMAIL = 255
MAX_PASSWORD = 1000
MAX_LABEL = 1000
MAX_SCOPES = 200
PREFIX_LENGTH = 10
_EMAIL = re.compile(r"[^\s@/]+@[^\s@/]+")


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """The body that logs in."""

    email: str
    password: str

    def __repr__(self) -> str:
        return f"Login(email={self.email!r})"


class NewPassword(msgspec.Struct, frozen=True, kw_only=True):
    """The body that sets one's own password."""

    password: str

    def __repr__(self) -> str:
        return "NewPassword()"


class NewAccount(msgspec.Struct, frozen=True, kw_only=True):
    """The body that creates an account; without a password only a login link opens it."""

    email: str
    password: str | None = None
    super_admin: bool = False
    username: str | None = None
    name: str | None = None
    company: str | None = None

    def __repr__(self) -> str:
        return f"NewAccount(email={self.email!r})"


class AccountChange(msgspec.Struct, frozen=True, kw_only=True):
    """The body that changes an account; what is left out stays as it is."""

    is_super_admin: bool | None = None
    password: str | None = None
    name: str | msgspec.UnsetType | None = msgspec.UNSET
    company: str | msgspec.UnsetType | None = msgspec.UNSET

    def __repr__(self) -> str:
        return "AccountChange()"


class AccountFacts(msgspec.Struct, frozen=True, kw_only=True):
    """An account as `whoami` and lists answer it. Fields that never vary are there for Windmill's clients."""

    email: str
    username: str
    super_admin: bool
    name: str | None
    company: str | None
    operator_only: bool
    has_password: bool
    created_at: datetime
    login_type: str = "password"
    devops: bool = False
    verified: bool = True
    first_time_user: bool = False
    role_source: str = "manual"
    disabled: bool = False


class NewToken(msgspec.Struct, frozen=True, kw_only=True):
    """The body that creates a token. `scopes` None grants what the creating token may do."""

    label: str | None = None
    expiration: datetime | None = None
    scopes: list[str] | None = None
    workspace_id: str | None = None


class ListedToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token as it is listed: never its text, of which only a digest is kept."""

    token_prefix: str
    label: str | None
    expiration: datetime | None
    created_at: datetime
    last_used_at: datetime
    scopes: list[str] | None
    workspace_id: str | None
    email: str


def check_email(email: str) -> str:
    """`email` as accounts are kept, trimmed and in lower case; raises InvalidInput when it is none."""
    normal = normal_email(email)
    if len(normal) > MAX_EMAIL or not _EMAIL.fullmatch(normal):
        raise InvalidInput(
            f"Invalid e-mail address {email[:60]!r}: use <name>@<host>, at most {MAX_EMAIL} characters"
        )
    return normal


def normal_email(email: str) -> str:
    """`email` in the form in which accounts are looked up."""
    return email.strip().lower()


def check_password(password: str) -> str:
    """`password` itself; raises InvalidInput when it is empty or absurdly long."""
    if not password or len(password) > MAX_PASSWORD:
        raise InvalidInput(f"A password has 1 to {MAX_PASSWORD} characters")
    return password

"""Who may see and change what, and what tokens' scopes cover."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millpond.base.errors import InvalidInput
from millpond.model.actors import Actor
from millpond.model.permissions import (
    can_read,
    can_write,
    check_principal,
    check_scope,
    is_owner,
    may_manage,
    owns_folder,
    scope_allows,
    scope_within,
)

HENRI = Actor(
    workspace_id="main",
    email="henri@localhost",
    username="henri",
    groups=frozenset({"all", "data"}),
    readable_folders=frozenset({"seen", "written", "own"}),
    writable_folders=frozenset({"written", "own"}),
    owned_folders=frozenset({"own"}),
)
ADMIN = Actor(workspace_id="main", email="admin@localhost", username="admin", is_admin=True)


@pytest.mark.parametrize(
    ("path", "reads", "writes", "owns"),
    [
        ("u/henri/a", True, True, True),
        ("u/henriette/a", False, False, False),
        ("u/admin/a", False, False, False),
        ("g/data/a", True, True, True),
        ("g/other/a", False, False, False),
        ("g/all/a", False, False, False),
        ("f/seen/a", True, False, False),
        ("f/seen/deep/er", True, False, False),
        ("f/written/a", True, True, False),
        ("f/own/a", True, True, True),
        ("f/unknown/a", False, False, False),
        ("f/seens/a", False, False, False),
        ("u/seen/a", False, False, False),
    ],
)
def test_a_path_belongs_to_its_user_its_group_or_its_folder(
    path: str, reads: bool, writes: bool, owns: bool
) -> None:
    assert can_read(HENRI, path, {}) is reads
    assert can_write(HENRI, path, {}) is writes
    assert is_owner(HENRI, path) is owns


@pytest.mark.parametrize(
    ("extra_perms", "reads", "writes"),
    [
        ({"u/henri": True}, True, True),
        ({"u/henri": False}, True, False),
        ({"g/data": True}, True, True),
        ({"g/data": False}, True, False),
        ({"g/all": True}, True, True),
        ({"g/other": True, "u/admin": True, "henri": True, "g/henri": True}, False, False),
        ({"u/henri": False, "g/data": True}, True, True),
        ({}, False, False),
    ],
)
def test_extra_permissions_add_to_those_of_the_path(
    extra_perms: dict[str, bool], reads: bool, writes: bool
) -> None:
    assert can_read(HENRI, "f/unknown/a", extra_perms) is reads
    assert can_write(HENRI, "f/unknown/a", extra_perms) is writes
    assert not is_owner(HENRI, "f/unknown/a"), "a grant never makes an owner"


@pytest.mark.parametrize("path", ["u/henri/a", "g/other/a", "g/all/a", "f/unknown/a"])
def test_administrators_may_do_everything(path: str) -> None:
    assert can_read(ADMIN, path, {})
    assert can_write(ADMIN, path, {})
    assert is_owner(ADMIN, path)


def test_managers_and_folder_owners_are_found_among_all_principals() -> None:
    assert may_manage(HENRI, {"u/henri": True})
    assert may_manage(HENRI, {"g/data": True})
    assert not may_manage(HENRI, {"u/henri": False})
    assert not may_manage(HENRI, {"u/admin": True})
    assert may_manage(ADMIN, {})
    assert owns_folder(HENRI, ["u/henri"])
    assert owns_folder(HENRI, ["u/admin", "g/data"])
    assert not owns_folder(HENRI, ["u/admin", "g/other", "henri"])
    assert owns_folder(ADMIN, [])


@pytest.mark.parametrize(
    ("scopes", "domain", "action", "path", "allowed"),
    [
        (None, "jobs", "run", "scripts:f/a/b", True),
        ((), "jobs", "read", None, False),
        (("*",), "variables", "write", "u/henri/a", True),
        (("variables:read",), "variables", "read", None, True),
        (("variables:read",), "variables", "read", "u/henri/a", True),
        (("variables:read",), "variables", "write", "u/henri/a", False),
        (("variables:read",), "resources", "read", "u/henri/a", False),
        (("variables:write",), "variables", "read", "u/henri/a", True),
        (("jobs:write",), "jobs", "run", "scripts:f/a/b", False),
        (("jobs:run",), "jobs", "run", "scripts:f/a/b", True),
        (("jobs:run:scripts",), "jobs", "run", "scripts:f/a/b", True),
        (("jobs:run:scripts",), "jobs", "run", "flows:f/a/b", False),
        (("jobs:run:scripts:f/a/*",), "jobs", "run", "scripts:f/a/b", True),
        (("jobs:run:scripts:f/a/*",), "jobs", "run", "scripts:f/ab/c", False),
        (("jobs:run:scripts:f/a/b,f/a/c",), "jobs", "run", "scripts:f/a/c", True),
        (("jobs:run:scripts:f/a/b",), "jobs", "run", None, False),
        (("resources:read:f/a/*",), "resources", "read", "f/a/b", True),
        (("resources:read:f/a/*",), "resources", "read", "f/b/a", False),
        (("resources:read:f/a/*",), "resources", "read", None, False),
        (("resources:read:f/a/*", "resources:read"), "resources", "read", None, True),
        (("*:read",), "folders", "read", None, True),
        (("*:read",), "folders", "write", None, False),
    ],
)
def test_scopes_cover_no_more_than_they_name(
    scopes: tuple[str, ...] | None, domain: str, action: str, path: str | None, allowed: bool
) -> None:
    assert scope_allows(scopes, domain, action, path) is allowed


DOMAINS = st.sampled_from(["jobs", "resources", "*"])
ACTIONS = st.sampled_from(["read", "write", "run", "*"])
PATTERNS = st.sampled_from(
    ["*", "f/a/*", "f/a/b", "f/a/b/*", "f/a", "scripts", "flows", "f/a/b,f/c/d", "f/c/*,f/a/b"]
)
SCOPES = st.one_of(
    st.just("*"),
    st.builds("{}:{}".format, DOMAINS, ACTIONS),
    st.builds("{}:{}:{}".format, DOMAINS, ACTIONS, PATTERNS),
    st.builds("{}:{}:{}:{}".format, DOMAINS, ACTIONS, PATTERNS, PATTERNS),
)
PATHS = st.one_of(
    st.none(),
    st.sampled_from(
        ["f/a", "f/a/b", "f/a/b/c", "f/c/d", "scripts", "scripts:f/a/b", "flows:f/a/b/c", "scripts:f/c/d"]
    ),
)


@given(
    SCOPES, SCOPES, st.sampled_from(["jobs", "resources"]), st.sampled_from(["read", "write", "run"]), PATHS
)
def test_a_granted_scope_never_opens_what_its_grantor_could_not(
    held: str, granted: str, domain: str, action: str, path: str | None
) -> None:
    if scope_within((held,), granted) and scope_allows((granted,), domain, action, path):
        assert scope_allows((held,), domain, action, path)


@given(SCOPES)
def test_every_scope_may_grant_itself_and_all_may_be_granted_without_limits(scope: str) -> None:
    assert check_scope(scope) == scope
    assert scope_within((scope,), scope)
    assert scope_within(None, scope)
    assert scope_within(("*",), scope)
    assert not scope_within((), scope)


@pytest.mark.parametrize(
    "scope", ["", "jobs", "run:script/f/a b", "a:b:c:d:e", "jobs:", ":read", "Jobs:read", "jobs:read:"]
)
def test_scopes_that_could_cover_nothing_are_refused(scope: str) -> None:
    with pytest.raises(InvalidInput, match="Invalid scope"):
        check_scope(scope)


@pytest.mark.parametrize(
    "principal", ["henri", "f/etl", "u/", "u/a/b", "u/a b", "g/" + "x" * 51, "U/henri", "u/henri\n"]
)
def test_principals_are_users_or_groups(principal: str) -> None:
    with pytest.raises(InvalidInput, match="Invalid principal"):
        check_principal(principal)
    assert check_principal("u/henri") == "u/henri"
    assert check_principal("g/data-team") == "g/data-team"

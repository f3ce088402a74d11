"""Queries on the permissions of single items: each kind has its own pair, no table name is ever composed."""

from collections.abc import Mapping
from typing import LiteralString

from millpond.model.acls import AclKind
from millpond.store.columns import json_text, perms
from millpond.store.pool import Transaction
from millpond.store.queries import load

_SQL = load("acls")

_LOCKS: Mapping[AclKind, LiteralString] = {
    "script": _SQL["lock_script"],
    "flow": _SQL["lock_flow"],
    "resource": _SQL["lock_resource"],
    "variable": _SQL["lock_variable"],
    "group_": _SQL["lock_group_"],
    "folder": _SQL["lock_folder"],
}
_WRITES: Mapping[AclKind, LiteralString] = {
    "script": _SQL["write_script"],
    "flow": _SQL["write_flow"],
    "resource": _SQL["write_resource"],
    "variable": _SQL["write_variable"],
    "group_": _SQL["write_group_"],
    "folder": _SQL["write_folder"],
}


async def lock_permissions(
    transaction: Transaction, workspace_id: str, kind: AclKind, path: str
) -> dict[str, bool] | None:
    """What an item grants, held until the transaction ends; None when there is no such item."""
    row = await transaction.fetch_row(_LOCKS[kind], workspace_id, path)
    return None if row is None else perms(row["extra_perms"])


async def write_permissions(
    transaction: Transaction, workspace_id: str, kind: AclKind, path: str, extra_perms: Mapping[str, bool]
) -> None:
    """Set all that an item grants."""
    await transaction.execute(_WRITES[kind], workspace_id, path, json_text(extra_perms))

"""Opens sealed variables, and lets the worker of a job know which secrets the job has seen.

The server decrypts, the worker prints: two processes. What a job reads is noted in the database, still
sealed, before the answer leaves; the worker looks for new notes before it stores a part of the job's log, and
masks what they open to.
"""

import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from uuid import UUID

import msgspec

from millpond.base.errors import SecretUnreadable
from millpond.base.log import get_logger
from millpond.base.sealing import SealBroken, unseal
from millpond.model.actors import Actor
from millpond.services.workspace_keys import WorkspaceKeys
from millpond.store import job_secrets
from millpond.store.job_secrets import SealedSecret
from millpond.store.pool import Database, Transaction

log = get_logger()

MIN_MASKED_CHARACTERS = 3
"""Shorter texts are not masked: a secret of one digit would blacken every number in the log."""


class SeenSecret(NamedTuple):
    """A secret in clear, the number of its note, and the job whose log it is masked in: it, or one above it, has read it."""

    printer: UUID
    number: int
    value: str


async def open_secret(
    connection: Transaction, workspace_key: bytes, actor: Actor, path: str, sealed_value: str
) -> str:
    """The clear value of a secret variable; a job that asks is noted first.

    Raises SecretUnreadable for another key's.
    """
    try:
        value = unseal(workspace_key, sealed_value)
    except SealBroken as error:
        raise SecretUnreadable(
            f"Variable {path} cannot be decrypted: {error}. Either this instance runs with another master "
            "key than the one it was stored under, or its ciphertext was brought from another workspace; "
            "set the variable's value anew"
        ) from error
    if actor.job is not None:
        await job_secrets.record(connection, actor.workspace_id, actor.job.job_id, path, sealed_value)
    return value


async def newly_seen(
    database: Database,
    workspace_keys: WorkspaceKeys,
    workspace_id: str,
    printers: Sequence[UUID],
    known: Sequence[tuple[UUID, int]],
) -> list[SeenSecret]:
    """The secrets that jobs which print, or those above them, have read, besides the `known`: printer and number.

    For workers: nobody is authorized. A job's own start decides which of those above it count (decision 0017).

    A note that opens no more, since the workspace's key was exchanged meanwhile, is left out and logged: no job has read
    a value that does not open.
    """
    async with database.statement() as connection:
        notes = await job_secrets.list_new(connection, workspace_id, printers, known)
    if not notes:
        return []
    try:
        workspace_key = await workspace_keys.key_of(workspace_id)
    except SecretUnreadable as error:
        log.warning("job_secrets_unreadable", workspace_id=workspace_id, error=error.message)
        return []
    values: dict[int, str | None] = {}
    for note in notes:
        # One note may concern many steps of a flow.
        if note.number not in values:
            values[note.number] = _opened(workspace_key, workspace_id, note)
    opened = ((note, values[note.number]) for note in notes)
    return [SeenSecret(note.printer, note.number, value) for note, value in opened if value is not None]


def _opened(workspace_key: bytes, workspace_id: str, note: SealedSecret) -> str | None:
    try:
        return unseal(workspace_key, note.sealed_value)
    except SealBroken:
        log.warning("job_secret_unreadable", workspace_id=workspace_id, path=note.path)
        return None


def texts_to_mask(secrets: Iterable[str]) -> list[str]:
    """What to look for in a log, longest first.

    Each secret, its lines, its JSON-escaped form, and the strings of a secret that is JSON. Texts under
    `MIN_MASKED_CHARACTERS` characters are left out.
    """
    texts: set[str] = set()
    for secret in secrets:
        texts |= {
            secret,
            secret.strip(),
            json.dumps(secret)[1:-1],
            json.dumps(secret, ensure_ascii=False)[1:-1],
        }
        texts |= {line.strip() for line in secret.splitlines()}
        texts |= _strings_inside(secret)
    return sorted((text for text in texts if len(text) >= MIN_MASKED_CHARACTERS), key=len, reverse=True)


def _strings_inside(secret: str) -> set[str]:
    if not secret.lstrip().startswith(("{", "[")):
        return set()
    try:
        pending: list[object] = [msgspec.json.decode(secret)]
    except (msgspec.DecodeError, RecursionError):
        return set()
    found = set()
    while pending:
        match pending.pop():
            case dict() as members:
                pending.extend(members.values())
            case list() as items:
                pending.extend(items)
            case str() as text:
                found.add(text)
    return found

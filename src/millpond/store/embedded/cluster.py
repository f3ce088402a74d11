"""Creates the cluster of an embedded PostgreSQL, whole or not at all, and checks one that exists.

A new cluster is made in a folder beside its final place, flushed to disk and renamed, so that a folder of the
final name is always complete. A folder that is there is never deleted.
"""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from millpond.base.errors import StartupRefused
from millpond.store.embedded.account import Account, named_account
from millpond.store.embedded.binaries import MAJOR_VERSION, Binaries
from millpond.store.embedded.layout import ADVICE, Layout
from millpond.store.embedded.processes import ENVIRONMENT, launch_command

USER = "millpond"
DATABASE = "millpond"

_UNFINISHED = "postgres.new-"
_TIMEOUT_SECS = 300


def ensure_cluster(layout: Layout, binaries: Binaries, account: Account) -> str:
    """Create the cluster unless it is there; the superuser's password either way.

    Raises StartupRefused for a folder that holds anything but a cluster of this major version.
    """
    # Left by a start that was killed while it made the cluster; the caller holds the instance's lock.
    for unfinished in layout.data_dir.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(unfinished, ignore_errors=True)
    if not layout.cluster.exists():
        password = _read_password(layout) or _new_password(layout)
        _create(layout, binaries, account, password)
        return password
    _check_version(layout.cluster)
    existing = _read_password(layout)
    if existing is None:
        raise StartupRefused(
            f"The password of the embedded PostgreSQL is missing: restore {layout.password_file}."
        )
    return existing


def _check_version(cluster: Path) -> None:
    try:
        version = (cluster / "PG_VERSION").read_text(encoding="ascii").strip()
    except FileNotFoundError:
        raise StartupRefused(
            f"{cluster} does not hold a PostgreSQL cluster; move it away. {ADVICE}"
        ) from None
    if version != str(MAJOR_VERSION):
        raise StartupRefused(
            f"{cluster} was made by PostgreSQL {version}, and this release carries {MAJOR_VERSION}: "
            f"dump it with the release that made it and load it into a new folder. {ADVICE}"
        )


def _read_password(layout: Layout) -> str | None:
    try:
        return layout.password_file.read_text(encoding="ascii").strip() or None
    except FileNotFoundError:
        return None


def _new_password(layout: Layout) -> str:
    """Draw 256 random bits and keep them, on disk before the cluster that asks for them."""
    password = secrets.token_hex(32)
    layout.password_file.unlink(missing_ok=True)
    descriptor = os.open(layout.password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(password + "\n")
        file.flush()
        os.fsync(descriptor)
    return password


def _create(layout: Layout, binaries: Binaries, account: Account, password: str) -> None:
    folder = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=layout.data_dir))
    builder = named_account(account)
    builder.own(folder)
    settings = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    access = [f"--username={USER}", "--auth=scram-sha-256", "--pwfile=/dev/stdin"]
    initdb: list[str | Path] = [binaries.initdb, f"--pgdata={folder}"]
    # The flush comes last and covers what the single-user server adds.
    _run([*initdb, "--no-sync", "--no-instructions", *settings, *access], builder, password)
    single: list[str | Path] = [binaries.postgres, "--single", "-D", folder, "-c", "fsync=off"]
    _run([*single, "-c", "exit_on_error=on", "template1"], builder, f"CREATE DATABASE {DATABASE};")
    _run([*initdb, "--sync-only"], builder, "")
    if builder != account:
        _hand_over(folder, account)
    folder.rename(layout.cluster)
    _flush_folder(layout.data_dir)


def _run(argv: list[str | Path], account: Account, line: str) -> None:
    """Run one program to its end with `line` on its standard input."""
    reader, writer = os.pipe()
    try:
        # initdb opens its standard input again by name, which takes rights on the pipe itself.
        if account.uid is not None and account.gid is not None:
            os.fchown(reader, account.uid, account.gid)
        os.write(writer, f"{line}\n".encode())
        os.close(writer)
        done = subprocess.run(
            launch_command(argv, account, signal.SIGKILL),
            stdin=reader,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=ENVIRONMENT,
            start_new_session=True,
            timeout=_TIMEOUT_SECS,
            check=False,
        )
    finally:
        os.close(reader)
    if done.returncode != 0:
        output = done.stdout.decode("utf-8", "replace").strip()[-2000:]
        raise StartupRefused(f"The embedded PostgreSQL cannot be set up: {output}\n{ADVICE}")


def _hand_over(folder: Path, account: Account) -> None:
    # By descriptors: until now the stand-in's other processes could put a link in the place of a folder.
    for _, _, files, descriptor in os.fwalk(folder):
        for name in files:
            account.own(name, descriptor)
        account.own(".", descriptor)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

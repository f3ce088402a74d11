"""Who jobs run as: one user for all that share a directory, and nobody else that user while it is there."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from millpond.runtimes.sandbox import directories, users
from millpond.runtimes.sandbox.users import UserPool

needs_users = pytest.mark.skipif(not users.first_user_id(), reason="the tests do not run as root")


@pytest.fixture
def pool() -> Iterator[UserPool]:
    made = UserPool()
    yield made
    made.close()


def take_all(pool: UserPool) -> set[int]:
    """Every user the pool hands out to jobs of their own."""
    taken = []
    while pool.free_count:
        taken.append(pool.acquire(None))
    for user_id in taken:
        pool.release(user_id, None)
    return set(taken)


def test_jobs_of_a_directory_have_the_same_user_and_others_never_get_it(
    pool: UserPool, tmp_path: Path
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    first, second = pool.acquire(shared), pool.acquire(shared)
    assert first == second
    pool.release(first, shared)
    pool.release(second, shared)
    assert first not in take_all(pool)
    assert pool.acquire(shared) == first


def test_the_user_of_a_directory_that_is_gone_is_free_again(pool: UserPool, tmp_path: Path) -> None:
    gone, other = tmp_path / "gone", tmp_path / "other"
    gone.mkdir()
    other.mkdir()
    user_id = pool.acquire(gone)
    pool.release(user_id, gone)
    gone.rmdir()
    pool.release(pool.acquire(other), other)
    assert user_id in take_all(pool)


def test_a_pool_that_runs_dry_takes_back_what_is_only_set_aside(pool: UserPool, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    user_id = pool.acquire(shared)
    pool.release(user_id, shared)
    taken = [pool.acquire(None) for _ in range(pool.free_count)]
    assert user_id not in taken
    assert pool.acquire(None) == user_id


@needs_users
def test_a_directory_keeps_its_owner_across_a_restart(pool: UserPool, tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    owner = max(take_all(pool)) - 7
    directories.give_tree_to(tmp_path, owner)
    assert (tmp_path / "f").stat().st_uid == owner
    pool.keep(tmp_path)
    assert owner not in take_all(pool)
    assert pool.acquire(tmp_path) == owner


@needs_users
def test_giving_a_tree_away_follows_no_link_and_takes_nothing_of_others(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").touch()
    tree = tmp_path / "tree"
    directories.create_job_directory(tree, user_id=50_001, shared_dir=None)
    (tree / "link").symlink_to(outside)
    os.lchown(tree / "link", 50_001, 50_001)
    os.link(outside / "secret", tree / "hard_link")
    directories.give_tree_to(tree, 50_002)
    assert (tree / "tmp").stat().st_uid == 50_002
    assert (tree / "link").lstat().st_uid == 50_002
    assert outside.stat().st_uid == 0
    assert (outside / "secret").stat().st_uid == 0

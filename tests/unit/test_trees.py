"""Trees that jobs made are walked and measured whatever is in them, and never left."""

import os
from pathlib import Path

import pytest

from millpond.runtimes.sandbox.directories import remove_tree
from millpond.runtimes.sandbox.trees import TreeMovedError, disk_usage, entries_below

MIB = 1024**2


def names(path: Path) -> list[str]:
    return sorted(entry.name for entry in entries_below(path))


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def make_deep(path: Path, depth: int) -> None:
    """Directories within each other, deeper than any path may be long, with a file in the last one."""
    directory = os.open(path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=directory)
        below = os.open("d", os.O_RDONLY, dir_fd=directory)
        os.close(directory)
        directory = below
    os.close(os.open("last", os.O_CREAT | os.O_WRONLY, dir_fd=directory))
    os.close(directory)


def test_everything_is_visited_and_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(bytes(MIB))
    tree = tmp_path / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "b" / "f").touch()
    (tree / "g").touch()
    (tree / "to_directory").symlink_to(outside)
    (tree / "to_file").symlink_to(outside / "secret")
    (tree / "loop").symlink_to(tree)
    assert names(tree) == ["a", "b", "f", "g", "loop", "to_directory", "to_file"]
    assert disk_usage(tree) < MIB


def test_depth_costs_neither_descriptors_nor_recursion(tmp_path: Path) -> None:
    make_deep(tmp_path, 3000)
    before = open_files()
    try:
        (seen,) = [open_files() for entry in entries_below(tmp_path) if entry.name == "last"]
        assert seen <= before + 4
    finally:
        remove_tree(tmp_path / "d")  # pytest cannot


def test_a_directory_moved_while_the_walk_is_in_it_ends_the_walk(tmp_path: Path) -> None:
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    (tree / "a" / "b").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret").touch()
    walk = entries_below(tree)
    assert [next(walk).name, next(walk).name] == ["a", "b"]
    (tree / "a").rename(outside / "a")
    with pytest.raises(TreeMovedError):
        list(walk)


def test_a_directory_replaced_by_a_link_is_not_entered(tmp_path: Path) -> None:
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    (tree / "a").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret").touch()
    seen = []
    for entry in entries_below(tree):
        seen.append(entry.name)
        (tree / "a").rmdir()
        (tree / "a").symlink_to(outside)
    assert seen == ["a"]


def test_what_is_used_is_what_is_on_the_disk(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_bytes(os.urandom(2 * MIB))
    once = disk_usage(tree)
    assert 2 * MIB <= once < 3 * MIB
    os.link(tree / "file", tree / "second_name")
    assert disk_usage(tree) == once
    with (tree / "hole").open("wb") as hole:
        hole.truncate(100 * MIB)
    assert disk_usage(tree) < 3 * MIB


def test_empty_files_are_not_free(tmp_path: Path) -> None:
    for n in range(100):
        (tmp_path / str(n)).touch()
    assert disk_usage(tmp_path) >= 100 * 512


def test_a_tree_that_is_gone_uses_nothing(tmp_path: Path) -> None:
    assert disk_usage(tmp_path / "absent") == 0

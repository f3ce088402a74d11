"""Job directories go away whatever is in them, and nothing outside of them does."""

import os
from pathlib import Path

from millpond.runtimes.sandbox import directories


def test_an_untouched_directory_is_removed_at_once(tmp_path: Path) -> None:
    job = tmp_path / "job"
    directories.create_job_directory(job, user_id=None, shared_dir=tmp_path)
    (job / "script.py").touch()
    assert job.stat().st_mode & 0o777 == 0o700
    assert directories.remove_untouched(job)
    assert not job.exists()


def test_a_touched_directory_is_left_to_the_thorough_way(tmp_path: Path) -> None:
    job = tmp_path / "job"
    directories.create_job_directory(job, user_id=None, shared_dir=None)
    (job / "more").touch()
    assert not directories.remove_untouched(job)
    directories.remove_tree(job)
    assert not job.exists()


def test_depth_modes_and_links_do_not_stop_removal(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    job = tmp_path / "job"
    (job / "a" / "b").mkdir(parents=True)
    (job / "link").symlink_to(outside)
    (job / "a" / "link").symlink_to(outside)
    descriptor = os.open(job / "a", os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("deep", dir_fd=descriptor)
        below = os.open("deep", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    (job / "a" / "b").chmod(0)
    job.chmod(0)
    directories.remove_tree(job)
    assert not job.exists()
    assert (outside / "kept").exists()


def test_removing_what_is_not_there_is_fine(tmp_path: Path) -> None:
    directories.remove_tree(tmp_path / "absent")

"""What a level is called, what it lacks, and which paths a job is granted."""

from pathlib import Path

from millpond.runtimes.sandbox.policy import SandboxLevel, SandboxPolicy, settings_for


def test_a_level_is_described_by_its_parts_and_none_is_never_silent() -> None:
    full = SandboxLevel(
        landlock_abi=6, seccomp=True, pid_namespace=True, mount_namespace=True, user_switch=True
    )
    assert full.description == "landlock+seccomp+pidns+mountns+users+rlimits"
    assert SandboxLevel().description == "none"
    assert full.missing == []
    assert "seccomp" in SandboxLevel(landlock_abi=6).missing


def test_grants_name_the_environment_but_neither_work_nor_data(tmp_path: Path) -> None:
    settings = settings_for(
        SandboxPolicy(readable=(Path("/opt/data"),)),
        SandboxLevel(landlock_abi=6),
        readable=[tmp_path / "env"],
        work_dir=tmp_path / "jobs",
    )
    assert str(tmp_path / "env") in settings["readable"]
    assert "/opt/data" in settings["readable"]
    granted = [Path(path) for path in settings["readable"]]
    assert not any((tmp_path / "jobs").is_relative_to(path) for path in granted)
    assert not any(Path("/etc/shadow").is_relative_to(path) for path in granted)


def test_a_private_tmp_is_left_out_when_it_would_hide_the_job() -> None:
    level = SandboxLevel(mount_namespace=True)
    below_tmp = settings_for(SandboxPolicy(), level, readable=[], work_dir=Path("/tmp/jobs"))
    assert not below_tmp["private_tmp"]

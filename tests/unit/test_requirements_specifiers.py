"""The lines that may reach the resolver, from scripts and from locks."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millpond.base.errors import InvalidInput, LockFailed
from millpond.runtimes.python.dependencies.locks import read_lock
from millpond.runtimes.python.dependencies.package_index import index_hosts, package_index
from millpond.runtimes.python.dependencies.specifiers import (
    check_python,
    is_pinned,
    python_satisfies,
    requirement_name,
)


@pytest.mark.parametrize(
    ("requirement", "name"),
    [
        ("pandas", "pandas"),
        ("Ruamel.YAML_x==1.0", "ruamel-yaml-x"),
        ("pandas >= 2, < 3", "pandas"),
        ("httpx[http2,socks]~=0.28", "httpx"),
        ("tomli>=1; python_version < '3.11' and sys_platform == \"linux\"", "tomli"),
        ("six (>=1)", "six"),
        ("six==1.*", "six"),
        ("six===1.0+local", "six"),
        ("six @ https://example.com/six-1-py3-none-any.whl", "six"),
        ("six @ https://example.com/six-1-py3-none-any.whl#sha256=ab ; python_version > '3'", "six"),
    ],
)
def test_a_requirement_has_a_name(requirement: str, name: str) -> None:
    assert requirement_name(requirement) == name


@pytest.mark.parametrize(
    "line",
    [
        "",
        "-r /etc/passwd",
        "-c constraints.txt",
        "--index-url https://example.com/simple",
        "--extra-index-url=https://example.com",
        "-e .",
        ".",
        "./six",
        "../six",
        "/tmp/six",
        "six/evil",
        "six.whl",
        "six-1.0.tar.gz",
        "file:///etc/passwd",
        "six @ file:///etc/six.whl",
        "six @ /etc/six.whl",
        "six @ http://example.com/six.whl",
        "six @ https://example.com/six.tar.gz",
        "six @ https://example.com/six.whl?x=.whl",
        "six @ https://user:secret@example.com/six.whl",
        "six @ git+https://example.com/six",
        "git+https://example.com/six",
        "https://example.com/six.whl",
        "${HOME}",
        "six; ${HOME}",
        "six==${VERSION}",
        "six --index-url=https://example.com",
        "six==1 --hash=sha256:00",
        "six\n-r /etc/passwd",
        "six\\",
        "six\x00",
        "s" * 2000,
    ],
)
def test_everything_else_is_refused_by_name_in_headers_and_locks(line: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        requirement_name(line)
    assert "secret" not in caught.value.message
    if line and "\n" not in line and "\\" not in line and "--hash" not in line:
        with pytest.raises(LockFailed, match="line 2 of the lock"):
            read_lock(f"# py: 3.11\n{line}\n")


def test_a_lock_may_have_comments_hashes_and_continuations() -> None:
    lock = read_lock(
        "# py: 3.11.11\n"
        "six==1.17.0 \\\n    --hash=sha256:00ff \\\n    --hash=sha256:11aa\n"
        "    # via x\n"
        "idna==3.1  # remark\n\n"
    )
    assert lock.requirements == ("six==1.17.0 --hash=sha256:00ff --hash=sha256:11aa", "idna==3.1")
    assert lock.python == "3.11"
    assert read_lock("# py311\n").python == "3.11"
    assert read_lock("").requirements == ()


@pytest.mark.parametrize("smuggled", ["-r /etc/passwd", "--index-url https://example.com", "-e ."])
def test_a_continuation_line_hides_nothing(smuggled: str) -> None:
    with pytest.raises(LockFailed):
        read_lock(f"six==1.17.0 \\\n {smuggled}\n")


@settings(deadline=None)
@given(st.text())
def test_any_text_is_a_lock_or_refused(text: str) -> None:
    try:
        lock = read_lock(text)
    except LockFailed:
        return
    assert all("\n" not in requirement and "$" not in requirement for requirement in lock.requirements)


@pytest.mark.parametrize(
    ("constraint", "holds"),
    [
        ("3.11", True),
        ("3.11.11", True),
        ("3.12", False),
        ("3", True),
        ("==3.11", True),
        ("==3.11.*", True),
        ("==3.11.8", False),
        ("!=3.11", False),
        ("!=3.12.*", True),
        (">=3.11,<3.13", True),
        (">=3.11.8", False),
        ("<=3.11.7", True),
        ("<3.11", False),
        (">3.10", True),
        ("~=3.10", True),
        ("~=3.11.2", True),
        ("~=3.12", False),
        ("~=3.10.2", False),
    ],
)
def test_a_python_constraint_holds_for_3_11_7(constraint: str, holds: bool) -> None:
    check_python(constraint)
    assert python_satisfies((3, 11, 7), constraint) is holds


@pytest.mark.parametrize(
    ("requirement", "pinned"),
    [("six==1.0", True), ("six", False), ("six==1.*", False), ("six==1,<2", False), ("six>=1", False)],
)
def test_a_pin_admits_one_version(requirement: str, pinned: bool) -> None:
    assert is_pinned(requirement) is pinned


def test_pips_configuration_is_translated_for_uv() -> None:
    index = package_index(
        {
            "PATH": "/bin",
            "DATABASE_URL": "postgresql://secret",
            "PIP_CONFIG_FILE": "/dev/null",
            "PIP_INDEX_URL": "https://reader:secret@packages.example.com/simple",
            "PIP_EXTRA_INDEX_URL": "https://a.example.com/simple https://b.example.com/simple",
            "PIP_FIND_LINKS": "/wheels /more",
            "PIP_NO_INDEX": "true",
        }
    )
    assert index.environment == {
        "PATH": "/bin",
        "UV_DEFAULT_INDEX": "https://reader:secret@packages.example.com/simple",
        "UV_EXTRA_INDEX_URL": "https://a.example.com/simple https://b.example.com/simple",
        "UV_FIND_LINKS": "/wheels,/more",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }
    assert index.options == ("--no-index",)
    assert index_hosts(index.environment) == {"packages.example.com", "a.example.com", "b.example.com"}


def test_uvs_own_variables_win_over_pips() -> None:
    own = {"UV_DEFAULT_INDEX": "https://mine.example.com", "PIP_INDEX_URL": "https://other.example.com"}
    assert package_index(own) == ({"UV_DEFAULT_INDEX": "https://mine.example.com"}, ())

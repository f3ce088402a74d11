"""What holds for the whole source: who is asked first, what is public, how long things are, where things may stand."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from inspect import signature
from pathlib import Path

import pytest

import millpond
from millpond.api.application import build_application
from millpond.app import Services

SOURCE = Path(millpond.__file__).parent
MODULES = sorted(SOURCE.rglob("*.py"))
LONGEST_MODULE = 400
LONGEST_FUNCTION = 60
INTERNAL = "Not an endpoint"
Function = ast.FunctionDef | ast.AsyncFunctionDef

ASKS_NOBODY = {
    "Accounts.login": "it is how one becomes somebody",
    "Accounts.logout": "it takes the token itself, and ends that session only",
    "Accounts.redeem_login_link": "it is how one becomes somebody",
    "Accounts.ensure_superadmin": "the first start makes the first account; no route calls it",
    "ApprovalPages.flow_by_link": "the signature of the link is the proof, and is checked first",
    "ApprovalPages.info": "the signature of the token is the proof; without one require_read_job asks",
    "Approvals.answer_by_link": "the signature of the link is the proof, and is checked first",
    "Approvals.answer_suspended": "a token is a link's signature; without one answer_as_owner asks",
    "DependencyJobs.push_dependency_job": "it stands inside the transaction of a deployment, which comes first",
    "CompletionWatch.run": "a task of the server's own",
    "Identities.authenticate": "it finds out who asks",
    "Identities.enter": "it finds out who asks",
    "Identities.actor_of_job": "turns of flows act for the flow's own user; no route calls it",
    "Identities.aclose": "the server closes",
    "Jobs.database_clock": "the time is no secret, and health is asked for without an account",
    "Passwords.hash": "a computation, used by Accounts",
    "Passwords.matches": "a computation, used by Accounts",
    "WorkspaceKeys.key_of": "used by services that have authorized, and by workers",
}
"""Public async methods of services that do not begin with `authorize`, each with the reason."""

PUBLIC_ROUTES = {
    "/": "front door: says where the API is",
    "/api/version": "clients ask it before they log in",
    "/api/health/status": "probes carry no token",
    "/api/jobs/db_clock": "clients measure their clock by it",
    "/api/openapi.json": "describes what anybody can read in the source",
    "/api/auth/login": "it is how one becomes somebody",
    "/api/auth/logout": "it takes the token itself",
    "/api/auth/link/{secret:str}": "the secret is the proof",
    **dict.fromkeys(
        (
            f"/api/w/{{workspace:str}}/jobs_u/{verb}/{{job_id:uuid}}/{{resume_id:int}}/{{signature:str}}"
            for verb in ("resume", "cancel", "get_flow")
        ),
        "the signature stands in the address",
    ),
    "/api/w/{workspace:str}/jobs_u/flow/resume_suspended/{job_id:uuid}": "a signature in the body, or a login",
    "/api/w/{workspace:str}/jobs_u/flow/approval_info/{job_id:uuid}": "a signature in the query, or a login",
    "/api/scripts_u/tokened_raw/{workspace:str}/{token:str}/{path:path}": "the token stands in the address",
    "/api/scripts_u/empty_ts/{path:path}": "an empty text",
}
"""Routes whose handler depends on neither `actor` nor `account`, each with the reason."""

IMPORTS_INSIDE = {
    "runtimes/python/wrapper/script.py": "asyncio would double the memory of each zygote",
    "runtimes/sandbox/probe.py": "a program of its own, which is told where the package lies",
}
"""Modules that import inside a function, each with the reason."""

DYNAMIC_IMPORTS = {
    "cli/lazy.py": "a command's modules are loaded when the command is run",
    "runtimes/python/zygote_main.py": "a zygote loads what the scripts of its environment will import",
}
"""Modules that import by a computed name, each with the reason."""


@dataclass(frozen=True)
class Method:
    """A method, and the class and module it stands in."""

    module: str
    owner: ast.ClassDef
    node: Function

    @property
    def name(self) -> str:
        return f"{self.owner.name}.{self.node.name}"


def _relative(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _functions(tree: ast.AST) -> Iterator[Function]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _service_methods() -> Iterator[Method]:
    for path in sorted((SOURCE / "services").glob("*.py")):
        for owner in _tree(path).body:
            if isinstance(owner, ast.ClassDef) and not _is_protocol(owner):
                for node in owner.body:
                    if isinstance(node, ast.AsyncFunctionDef) and not node.name.startswith("_"):
                        yield Method(path.name, owner, node)


def _is_protocol(owner: ast.ClassDef) -> bool:
    return any(isinstance(base, ast.Name) and base.id == "Protocol" for base in owner.bases)


def _is_internal(method: Method) -> bool:
    documented = (ast.get_docstring(node) or "" for node in (method.owner, method.node))
    return method.module == "queue.py" or any(INTERNAL in text for text in documented)


def _asks_first(method: Method) -> bool:
    """Whether the first parameter is who asks, and the first statement asks about them."""
    names = [argument.arg for argument in method.node.args.args]
    statements = method.node.body[1 if ast.get_docstring(method.node) else 0 :]
    match statements:
        case [ast.Expr(ast.Call(func=ast.Name(id=called), args=[ast.Name(id=asked), *_])), *_]:
            return names[1:2] == [asked] and (called, asked) in {
                ("authorize", "actor"),
                ("authorize_account", "account"),
            }
        case _:
            return False


def test_every_use_case_authorizes_who_asks_before_anything_else() -> None:
    methods = [method for method in _service_methods() if not _is_internal(method)]
    refused = [method.name for method in methods if not _asks_first(method)]
    assert set(refused) - set(ASKS_NOBODY) == set()
    assert len(methods) > 80, "the walk found too little to prove anything"


def test_the_list_of_those_who_ask_nobody_holds_nothing_stale() -> None:
    refused = {
        method.name for method in _service_methods() if not _is_internal(method) and not _asks_first(method)
    }
    assert set(ASKS_NOBODY) - refused == set()


@pytest.mark.parametrize(
    "body",
    [
        "async def get(self, actor): return 1",
        "async def get(self, path, actor): authorize(actor, 'x', 'read')",
        "async def get(self, actor):\n  path = 1\n  authorize(actor, 'x', 'read')",
        "async def get(self, actor, other): authorize(other, 'x', 'read')",
        "async def get(self, account): authorize(account, 'x', 'read')",
        "async def get(self, actor):\n  if path: authorize(actor, 'x', 'read')",
    ],
)
def test_the_check_of_the_first_statement_sees_methods_that_ask_too_late(body: str) -> None:
    owner = ast.ClassDef("Nouns", [], [], [], [])
    node = ast.parse(body).body[0]
    assert isinstance(node, ast.AsyncFunctionDef)
    assert not _asks_first(Method("nouns.py", owner, node))


def _routes() -> Iterator[tuple[str, str, set[str]]]:
    """Path, handler's name and parameters of every route that is served; OPTIONS answers nothing of ours."""
    services = {entry.name: object() for entry in fields(Services)}
    app = build_application(services, max_body_bytes=1024, lifespan=[])
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            if handler.http_methods != {"OPTIONS"}:
                yield (
                    route.path,
                    f"{handler.fn.__module__}.{handler.fn.__qualname__}",
                    set(signature(handler.fn).parameters),
                )


def test_every_route_knows_who_asks_or_is_public_on_purpose() -> None:
    ours = [route for route in _routes() if route[1].startswith("millpond.")]
    open_routes = {path for path, _, names in ours if not names & {"actor", "account"}}
    assert open_routes == set(PUBLIC_ROUTES)
    assert len(ours) > 150, "the walk found too little to prove anything"


def test_the_routes_of_a_workspace_know_the_actor() -> None:
    outside = {path for path, _, names in _routes() if path.startswith("/api/w/") and "actor" not in names}
    assert outside == {path for path in PUBLIC_ROUTES if path.startswith("/api/w/")}


def test_a_route_of_a_workspace_that_is_public_knows_who_visits_if_anybody_does() -> None:
    public = [names for path, _, names in _routes() if path in PUBLIC_ROUTES and path.startswith("/api/w/")]
    assert len(public) >= 5
    assert all("visitor" in names for names in public)


def test_the_framework_serves_nothing_under_the_api_by_itself() -> None:
    foreign = [path for path, name, _ in _routes() if not name.startswith("millpond.")]
    assert [path for path in foreign if not path.startswith("/internal-openapi")] == []


@pytest.mark.parametrize("path", MODULES, ids=_relative)
def test_a_module_says_what_it_is_for_and_is_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), "no docstring"
    assert len(text.splitlines()) < LONGEST_MODULE


def test_functions_fit_on_a_screen() -> None:
    long = [
        f"{_relative(path)}:{node.lineno} {node.name}"
        for path in MODULES
        for node in _functions(_tree(path))
        if _own_lines(node) >= LONGEST_FUNCTION
    ]
    assert long == []


def _own_lines(function: Function) -> int:
    """Its length without the functions defined inside, which are measured by themselves."""
    inside = sum(
        _length(node) for node in function.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    return _length(function) - inside


def _length(node: Function) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_public_functions_and_classes_say_what_they_do() -> None:
    silent = [
        f"{_relative(path)}:{node.lineno} {node.name}"
        for path in MODULES
        for node in _tree(path).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert silent == []


def test_only_the_command_line_prints() -> None:
    assert _modules_that_call("print") <= {
        module for module in map(_relative, MODULES) if module.startswith("cli/")
    }


def test_imports_stand_at_the_top() -> None:
    inside = {
        _relative(path)
        for path in MODULES
        for function in _functions(_tree(path))
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert inside == set(IMPORTS_INSIDE)
    assert _modules_that_call("import_module") | _modules_that_call("__import__") == set(DYNAMIC_IMPORTS)


def _modules_that_call(function: str) -> set[str]:
    return {
        _relative(path)
        for path in MODULES
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == function
    }


def test_broad_excepts_say_why_where_they_stand() -> None:
    unexplained = [
        f"{_relative(path)}:{node.lineno}"
        for path in MODULES
        for lines in [path.read_text(encoding="utf-8").splitlines()]
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.ExceptHandler) and _is_broad(node) and not _reraises(node)
        if not re.search(r"# .*\w{3}", lines[node.lineno - 1].replace("noqa: BLE001", ""))
    ]
    assert unexplained == []


def _is_broad(handler: ast.ExceptHandler) -> bool:
    return handler.type is None or (
        isinstance(handler.type, ast.Name) and handler.type.id in ("Exception", "BaseException")
    )


def _reraises(handler: ast.ExceptHandler) -> bool:
    return any(isinstance(node, ast.Raise) and node.exc is None for node in ast.walk(handler))

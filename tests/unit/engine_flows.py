"""Short ways to write flows in tests."""

from typing import Any


def js(expr: str) -> dict[str, Any]:
    return {"type": "javascript", "expr": expr}


def static(value: Any) -> dict[str, Any]:
    return {"type": "static", "value": value}


def py(module_id: str, content: str, inputs: dict[str, str] | None = None, **settings: Any) -> dict[str, Any]:
    transforms = {name: js(expr) for name, expr in (inputs or {}).items()}
    value = {"type": "rawscript", "content": content, "language": "python3", "input_transforms": transforms}
    return {"id": module_id, "value": value, **settings}


def module(module_id: str, kind: str, value: dict[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
    return {"id": module_id, "value": {"type": kind, **(value or {})}, **settings}


def identity(module_id: str, **settings: Any) -> dict[str, Any]:
    return module(module_id, "identity", **settings)


def loop(
    module_id: str, iterator: Any, *steps: dict[str, Any], over: dict[str, Any] | None = None, **settings: Any
) -> dict[str, Any]:
    source = js(iterator) if isinstance(iterator, str) else static(iterator)
    return module(
        module_id, "forloopflow", {"iterator": source, "modules": list(steps), **(over or {})}, **settings
    )


def while_loop(
    module_id: str, *steps: dict[str, Any], over: dict[str, Any] | None = None, **settings: Any
) -> dict[str, Any]:
    return module(module_id, "whileloopflow", {"modules": list(steps), **(over or {})}, **settings)


def branch(*steps: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return {"modules": list(steps), **settings}


def branch_all(
    module_id: str, *branches: dict[str, Any], parallel: bool | None = None, **settings: Any
) -> dict[str, Any]:
    given = {"branches": list(branches)} | ({} if parallel is None else {"parallel": parallel})
    return module(module_id, "branchall", given, **settings)


def branch_one(
    module_id: str, *branches: dict[str, Any], default: list[dict[str, Any]], **settings: Any
) -> dict[str, Any]:
    return module(module_id, "branchone", {"branches": list(branches), "default": default}, **settings)


def flow(*modules: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return {"modules": list(modules), **settings}

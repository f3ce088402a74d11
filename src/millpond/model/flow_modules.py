"""The steps of a flow: what each kind holds (compat facts, flows 1.3 and 1.4).

One file, because a step may hold steps: the kinds and `FlowModule` refer to each other.
"""

from collections.abc import Iterator
from typing import Literal

import msgspec

from millpond.model.carried import null_json
from millpond.model.flow_settings import (
    Debouncing,
    InputTransform,
    Mock,
    Number,
    Retry,
    SkipIf,
    StopAfterIf,
    Strict,
    Suspension,
)

StepLanguage = Literal[
    "deno", "bun", "bunnative", "nativets", "python3", "go", "bash", "powershell", "postgresql", "mysql", "bigquery",
    "snowflake", "mssql", "oracledb", "graphql", "php", "rust", "ansible", "csharp", "nu", "java", "ruby", "duckdb",
    "rlang",
]  # fmt: skip


class RawScript(Strict, frozen=True, tag_field="type", tag="rawscript"):
    """Code that stands in the flow itself."""

    content: str
    language: StepLanguage
    input_transforms: dict[str, InputTransform] = msgspec.field(default_factory=dict)
    input_transform: dict[str, InputTransform] = msgspec.field(default_factory=dict)
    path: str | None = None
    lock: str | None = None
    tag: str | None = None
    concurrent_limit: int | None = None
    concurrency_time_window_s: int | None = None
    custom_concurrency_key: str | None = None
    is_trigger: bool | None = None
    assets: msgspec.Raw = msgspec.field(default_factory=null_json)


class ScriptStep(Strict, frozen=True, tag_field="type", tag="script"):
    """A deployed script."""

    path: str
    hash: str | None = None
    tag_override: str | None = None
    is_trigger: bool | None = None
    input_transforms: dict[str, InputTransform] = msgspec.field(default_factory=dict)
    input_transform: dict[str, InputTransform] = msgspec.field(default_factory=dict)
    pass_flow_input_directly: bool | None = None


class SubFlow(Strict, frozen=True, tag_field="type", tag="flow"):
    """A deployed flow: a root of its own for results, stops and failure handling."""

    path: str
    input_transforms: dict[str, InputTransform] = msgspec.field(default_factory=dict)
    input_transform: dict[str, InputTransform] = msgspec.field(default_factory=dict)
    pass_flow_input_directly: bool | None = None


class Identity(Strict, frozen=True, tag_field="type", tag="identity"):
    """Passes the previous result on."""

    flow: bool = False


class ForLoop(Strict, frozen=True, tag_field="type", tag="forloopflow"):
    """The body once for each item of an array."""

    iterator: InputTransform
    modules: tuple["FlowModule", ...]
    skip_failures: bool = True
    parallel: bool = False
    parallelism: Number | None = None
    squash: bool = False


class WhileLoop(Strict, frozen=True, tag_field="type", tag="whileloopflow"):
    """The body again and again, until something stops it."""

    modules: tuple["FlowModule", ...]
    skip_failures: bool = False
    squash: bool = False
    parallel: bool = False
    parallelism: Number | None = None


class ChoiceBranch(Strict, frozen=True):
    """A branch with the predicate that chooses it."""

    modules: tuple["FlowModule", ...]
    expr: str = ""
    summary: str | None = None
    skip_failure: bool | None = None
    parallel: bool | None = None


class BranchOne(Strict, frozen=True, tag_field="type", tag="branchone"):
    """The first branch whose predicate is true, or the default."""

    branches: tuple[ChoiceBranch, ...]
    default: tuple["FlowModule", ...]


class Branch(Strict, frozen=True):
    """One of branches that are all run. `parallel` is what old editors wrote; the container decides."""

    modules: tuple["FlowModule", ...]
    summary: str | None = None
    skip_failure: bool | None = None
    parallel: bool | None = None
    expr: str | None = None


class BranchAll(Strict, frozen=True, tag_field="type", tag="branchall"):
    """Every branch."""

    branches: tuple[Branch, ...]
    parallel: bool = True


Step = RawScript | ScriptStep | SubFlow
ModuleValue = RawScript | ScriptStep | SubFlow | Identity | ForLoop | WhileLoop | BranchOne | BranchAll


class FlowModule(Strict, frozen=True):
    """A step, with all that governs when and how it runs."""

    value: ModuleValue
    id: str = ""
    summary: str | None = None
    stop_after_if: StopAfterIf | None = None
    stop_after_all_iters_if: StopAfterIf | None = None
    skip_if: SkipIf | None = None
    sleep: InputTransform | None = None
    cache_ttl: int | None = None
    cache_ignore_s3_path: bool | None = None
    timeout: Number | None = None
    delete_after_use: bool | None = None
    delete_after_secs: int | None = None
    mock: Mock | None = None
    suspend: Suspension | None = None
    priority: int | None = None
    continue_on_error: bool | None = None
    retry: Retry | None = None
    job_token_scopes: list[str] | None = None
    debouncing: Debouncing | None = None
    apply_preprocessor: bool | None = None
    pass_flow_input_directly: bool | None = None


def bodies_of(value: ModuleValue) -> list[tuple[FlowModule, ...]]:
    """The lists of steps a container holds: of `branchone` the default first, then the branches."""
    match value:
        case ForLoop() | WhileLoop():
            return [value.modules]
        case BranchOne():
            return [value.default, *(branch.modules for branch in value.branches)]
        case BranchAll():
            return [branch.modules for branch in value.branches]
        case _:
            return []


def waits_behind(module: FlowModule) -> bool:
    """Whether a flow rests after the step: by sleeping, or for approvals."""
    return module.sleep is not None or (module.suspend is not None and bool(module.suspend.required_events))


def all_modules(modules: tuple[FlowModule, ...]) -> Iterator[FlowModule]:
    """Every step at any depth, a container before what it holds."""
    for module in modules:
        yield module
        for body in bodies_of(module.value):
            yield from all_modules(body)


def transforms_of(step: Step) -> dict[str, InputTransform]:
    """A step's inputs by name; `input_transform` is the name old flows use."""
    return {**step.input_transform, **step.input_transforms}

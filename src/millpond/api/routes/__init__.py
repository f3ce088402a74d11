"""One module a noun: decode, call one use case, encode. No rules live here."""

from litestar import Router
from litestar.types import ControllerRouterHandler

from millpond.api.routes import (
    accounts,
    acls,
    approvals,
    auth,
    flow_runs,
    flow_user_states,
    flows,
    folders,
    groups,
    instance,
    jobs,
    members,
    resource_types,
    resources,
    runs,
    scripts,
    scripts_u,
    variables,
    workspaces,
)


def all_workspace_routers() -> list[Router]:
    """Routes below `/w/{workspace}`."""
    return [
        acls.router,
        approvals.public_router,
        approvals.router,
        flow_runs.router,
        flow_user_states.router,
        flows.router,
        folders.router,
        groups.router,
        jobs.metrics_router,
        jobs.public_router,
        jobs.router,
        members.router,
        resource_types.router,
        resources.router,
        runs.router,
        scripts.favorites_router,
        scripts.router,
        variables.router,
        workspaces.router,
    ]


def instance_routers() -> list[ControllerRouterHandler]:
    """Routes outside any workspace."""
    return [
        accounts.router,
        accounts.settings_router,
        auth.router,
        instance.router,
        jobs.database_clock,
        scripts_u.router,
        workspaces.instance_router,
    ]

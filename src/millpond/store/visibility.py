"""The values behind the clause by which list queries leave out what the actor may not see.

The clause stands in each query as the four parameters $2 to $5, in the order of `visibility`.
"""

from millpond.model.actors import Actor


def visibility(actor: Actor) -> tuple[bool, list[str], list[str], list[str]]:
    """Sees all, prefixes that are the actor's own, readable folders, principals for `extra_perms`."""
    own = [f"u/{actor.username}", *(f"g/{group}" for group in sorted(actor.groups) if group != "all")]
    return actor.is_admin, own, sorted(actor.readable_folders), actor.principals()

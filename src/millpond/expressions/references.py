"""What an expression's text mentions, so that the caller fetches and binds no more than that.

Both answers come from words and patterns, not from a parse. They err on the side of too much, with one exception: a
name spelt with escapes (`\\u0072esult`) or assembled at run time (`globalThis["res" + "ult"]`) is not seen.
"""

import re
from functools import lru_cache

_WORD = re.compile(r"[^\W\d][\w$]*|\$[\w$]*")
# Text that may reach a name without writing it out after a dot.
_INDIRECT = re.compile(r"\beval\b|\bFunction\b|\bwith\b|\\")
_MEMBER = r"""\s*(?:\??\.\s*([A-Za-z_$][\w$]*)|(?:\?\.)?\[\s*(?:"([^"\\\n]*)"|'([^'\\\n]*)')\s*\])"""


@lru_cache(maxsize=1024)
def names_used(code: str) -> frozenset[str]:
    """Every word of the text: the names it may refer to, and more."""
    return frozenset(_WORD.findall(code))


@lru_cache(maxsize=1024)
def members_used(code: str, name: str) -> frozenset[str] | None:
    """The members of `name` the text reads by `.member` or `["member"]`; None when it may use `name` otherwise."""
    mentions = len(re.findall(rf"(?<![\w$]){re.escape(name)}(?![\w$])", code))
    members = re.findall(rf"(?<![\w$]){re.escape(name)}{_MEMBER}", code)
    if _INDIRECT.search(code) or len(members) != mentions:
        return None
    return frozenset(dotted or double or single for dotted, double, single in members)

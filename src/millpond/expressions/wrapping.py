"""Which JavaScript function an expression stands for: one that returns it, or one whose body it is.

The rules are Windmill's: text that starts with a statement's keyword, or has a `;` outside of strings, is a body and
says `return` itself. Two cases are read more kindly than there: a `;` in a comment does not count, and `await x` without
a `;` or a `return` is an expression.
"""

import re
from typing import Literal

Form = Literal["expression", "body"]

_STATEMENT = re.compile(
    r"(?:return|const|let|var|if|for|while|switch|try|throw|function|class|async)(?![\w$])",
)
_AWAIT = re.compile(r"(?<![\w$])await(?![\w$])")
_SETTLES = re.compile(r"await|async|promise|then|import|throw|reject", re.IGNORECASE)
_RETURN = re.compile(r"(?<![\w$])return(?![\w$])")
_QUOTED = re.compile(
    r"""
      "(?:\\.|[^"\\\n])*"
    | '(?:\\.|[^'\\\n])*'
    | `(?:\\.|[^`\\])*`
    | //[^\n]*
    | /\*.*?\*/
    """,
    re.DOTALL | re.VERBOSE,
)


def form_of(code: str) -> Form:
    """Whether the text is an expression, or the body of a function."""
    text = code.strip()
    bare = _QUOTED.sub(" ", text)
    if _STATEMENT.match(text) or ";" in bare:
        return "body"
    if _AWAIT.match(text) and _RETURN.search(bare):
        return "body"
    return "expression"


def is_blank(code: str) -> bool:
    """Whether nothing stands there but spaces and comments: the value is `undefined`."""
    return not re.sub(r"//[^\n]*|/\*.*?\*/", "", code, flags=re.DOTALL).strip()


def function_of(code: str, *, boolean: bool) -> str:
    """The source of a JavaScript function whose result is the value; the text begins on its second line.

    What is to be `boolean` must be an expression: it becomes the argument of `Boolean`.
    """
    arrow = "async () =>" if _AWAIT.search(code) else "() =>"
    if is_blank(code):
        return f"{arrow} {'false' if boolean else 'null'}"
    if boolean:
        return f"{arrow} Boolean(\n{code}\n)"
    if form_of(code) == "body":
        return f"{arrow} {{\n{code}\n}}"
    return f"{arrow} (\n{code}\n)"


def settles(code: str) -> bool:
    """Whether the value may be a promise, or the error one that only JavaScript can describe. Errs towards yes."""
    return _SETTLES.search(code) is not None

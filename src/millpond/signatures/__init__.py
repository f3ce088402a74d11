"""From the text of a script to the JSON Schema of its arguments. Nothing is executed."""

from collections.abc import Callable, Mapping

from millpond.signatures import python
from millpond.signatures.signature import Signature, arguments_schema

__all__ = ["Signature", "infer"]

INFERENCES: Mapping[str, Callable[[str, str], Signature]] = {
    "python3": python.infer,
}


def infer(language: str, code: str, entrypoint: str = "main") -> Signature:
    """The signature of `code`, for any text.

    Of a language without inference nothing is known: no properties, and `has_main` True, as the run must
    decide.
    """
    inference = INFERENCES.get(language)
    if inference is None:
        return Signature(schema=arguments_schema({}, []), has_main=True)
    return inference(code, entrypoint)

"""The arguments of a Python script as JSON Schema, from its text."""

import json
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from millpond.signatures import infer
from millpond.signatures.python import infer as infer_python

DEFINITIONS = """
import datetime as clock
import typing as t
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum, IntEnum, StrEnum, auto
from typing import Annotated, Any, Dict, List, Literal, NotRequired, Optional as Maybe, TypedDict, Union
from pydantic import BaseModel, Field
import wmill

class Color(Enum):
    RED = "red"
    BLUE = "blue"
class Level(IntEnum):
    LOW = 1
    HIGH = auto()
class Mood(StrEnum):
    GOOD = auto()
class postgresql(TypedDict):
    host: str
    port: int
class c_empty(TypedDict):
    pass
class Plain: ...
class Point(TypedDict):
    x: int
    y: NotRequired[float]
@dataclass
class Base:
    a: str
@dataclass
class Derived(Base):
    b: int = 3
    c: list[str] = field(default_factory=list)
    d: bool = field()
class Model(BaseModel):
    name: str
    note: str | None
    color: Color = Color.RED
    at: int = Field(default=2)
    needed: int = Field(...)
class Tree(TypedDict):
    children: list["Tree"]
slack = dict
Alias = Literal["a", "b"]
Ident = t.NewType("Ident", int)
"""
POINT = {
    "type": "object",
    "properties": {"x": {"type": "integer"}, "y": {"type": "number"}},
    "required": ["x"],
}


def property_of(parameter: str, definitions: str = DEFINITIONS) -> dict[str, object]:
    signature = infer("python3", f"{definitions}\ndef main({parameter}): pass")
    assert signature.error is None
    properties = signature.schema["properties"]
    assert isinstance(properties, dict)
    (found,) = properties.values()
    assert isinstance(found, dict)
    return found


def is_required(parameter: str) -> bool:
    required = infer("python3", f"{DEFINITIONS}\ndef main({parameter}): pass").schema["required"]
    return required == ["x"]


@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        ("str", {"type": "string"}),
        ("int", {"type": "integer"}),
        ("float", {"type": "number"}),
        ("bool", {"type": "boolean"}),
        ("dict", {"type": "object"}),
        ("Dict[str, int]", {"type": "object", "additionalProperties": {"type": "integer"}}),
        ("list", {"type": "array"}),
        ("List[int]", {"type": "array", "items": {"type": "integer"}}),
        ("t.List[t.List[str]]", {"type": "array", "items": {"type": "array", "items": {"type": "string"}}}),
        ("tuple[int, ...]", {"type": "array", "items": {"type": "integer"}}),
        ("tuple[int, str]", {"type": "array"}),
        ("Literal['a', 'b']", {"type": "string", "enum": ["a", "b"]}),
        ("t.Literal[1, 2]", {"type": "integer", "enum": [1, 2]}),
        ("Literal[1, 'a']", {"enum": [1, "a"]}),
        ("Color", {"type": "string", "enum": ["red", "blue"]}),
        ("Level", {"type": "integer", "enum": [1, 2]}),
        ("Mood", {"type": "string", "enum": ["good"]}),
        ("datetime", {"type": "string", "format": "date-time"}),
        ("clock.datetime", {"type": "string", "format": "date-time"}),
        ("date", {"type": "string", "format": "date"}),
        ("bytes", {"type": "string", "contentEncoding": "base64"}),
        ("Any", {}),
        ("int | float", {"type": "number"}),
        ("Union[str, int]", {"oneOf": [{"type": "string"}, {"type": "integer"}]}),
        ("str | Any", {}),
        ("Annotated[int, 'positive']", {"type": "integer"}),
        ("'str'", {"type": "string"}),
        ("Alias", {"type": "string", "enum": ["a", "b"]}),
        ("Ident", {"type": "integer"}),
        ("Point", POINT),
        ("list[Point]", {"type": "array", "items": POINT}),
        ("postgresql", {"type": "object", "format": "resource-postgresql"}),
        ("c_empty", {"type": "object", "format": "resource-c_empty"}),
        ("slack", {"type": "object", "format": "resource-slack"}),
        ("undefined_name", {"type": "object", "format": "resource-undefined_name"}),
        ("MyThing", {"type": "object", "format": "resource-my_thing"}),
        ("Plain", {"type": "object", "format": "resource-plain"}),
        ("wmill.S3Object", {"type": "object", "format": "resource-s3_object"}),
        ("DynSelect_city", {"type": "object", "format": "dynselect-city"}),
        ("f(1)", {}),
        ("'not a type ('", {}),
    ],
)
def test_an_annotation_becomes_a_schema(annotation: str, schema: dict[str, object]) -> None:
    assert property_of(f"x: {annotation}") == schema
    assert is_required(f"x: {annotation}")


@pytest.mark.parametrize(
    "annotation", ["Maybe[str]", "str | None", "None | str", "t.Optional[str]", "'str | None'"]
)
def test_an_optional_type_may_be_left_out(annotation: str) -> None:
    assert property_of(f"x: {annotation}") == {"type": "string", "nullable": True, "default": None}
    assert not is_required(f"x: {annotation}")


def test_models_list_their_fields_and_those_they_inherit() -> None:
    assert property_of("x: Derived") == {
        "type": "object",
        "properties": {
            "a": {"type": "string"},
            "b": {"type": "integer", "default": 3},
            "c": {"type": "array", "items": {"type": "string"}},
            "d": {"type": "boolean"},
        },
        "required": ["a", "d"],
    }
    model = property_of("x: Model")
    assert model["required"] == ["name", "needed"]
    assert property_of("x: Tree")["properties"] == {
        "children": {"type": "array", "items": {"type": "object"}}
    }


@pytest.mark.parametrize(
    ("parameter", "schema"),
    [
        ("x: str = 'a'", {"type": "string", "default": "a"}),
        ("x = 3", {"type": "integer", "default": 3}),
        ("x = True", {"type": "boolean", "default": True}),
        ("x = -1.5", {"type": "number", "default": -1.5}),
        ("x = ('a', 'b')", {"type": "array", "items": {"type": "string"}, "default": ["a", "b"]}),
        ("x: list = [1, 2]", {"type": "array", "items": {"type": "integer"}, "default": [1, 2]}),
        ("x: dict = {'a': [1]}", {"type": "object", "default": {"a": [1]}}),
        ("x=None", {"default": None}),
        ("x: Color = Color.BLUE", {"type": "string", "enum": ["red", "blue"], "default": "blue"}),
        ("x: datetime = datetime.now()", {"type": "string", "format": "date-time"}),
        ("x: float = 1e999", {"type": "number"}),
        ("x: str = '\\ud800'", {"type": "string"}),
        ("x: bytes = b'a'", {"type": "string", "contentEncoding": "base64"}),
        ("x: dict = {1: 2}", {"type": "object"}),
    ],
)
def test_a_default_makes_a_parameter_optional_and_is_shown_when_known(
    parameter: str, schema: dict[str, object]
) -> None:
    assert property_of(parameter) == schema
    assert not is_required(parameter)


def test_a_module_constant_is_a_known_default() -> None:
    assert property_of("x: int = LIMIT", "LIMIT = 5") == {"type": "integer", "default": 5}


def test_every_kind_of_parameter_is_listed_in_order_except_the_collecting_ones() -> None:
    schema = infer("python3", "async def main(b, /, a: int, *args, d, c: str = 'x', **kwargs): pass").schema
    assert list(schema) == ["$schema", "type", "properties", "required", "order"]
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["order"] == ["b", "a", "d", "c"]
    assert schema["required"] == ["b", "a", "d"]
    assert schema["properties"] == {
        "b": {},
        "a": {"type": "integer"},
        "d": {},
        "c": {"type": "string", "default": "x"},
    }


@pytest.mark.parametrize(
    "code",
    [
        "def main(old): pass\ndef main(x): pass",
        "if True:\n    def main(x): pass\nelse:\n    pass",
        "try:\n    pass\nexcept E:\n    def main(x): pass",
        "@task(1)\ndef main(x): pass",
        "def run(x): pass\nmain = run",
        "def main(x): pass\nclass A:\n    def main(self, y): pass\ndef f():\n    def main(z): pass",
    ],
)
def test_the_entry_point_is_the_last_top_level_definition(code: str) -> None:
    signature = infer("python3", code)
    assert signature.has_main
    assert signature.schema["order"] == ["x"]


def test_another_entry_point_and_a_preprocessor_are_found() -> None:
    code = "def preprocessor(event): pass\ndef other(y: int): pass"
    assert infer("python3", code).has_main is False
    assert infer("python3", code).has_preprocessor is True
    assert infer("python3", code, "other").schema["order"] == ["y"]


@pytest.mark.parametrize(
    "docstring",
    [
        "Do it.\n\n    Args:\n        x: the name\n            of it\n        y (int): other\n\n"
        "    Returns:\n        z: no\n    ",
        "Do it.\n\n    :param str x: the name of it\n    :param y: other\n    ",
    ],
)
def test_the_docstring_describes_parameters(docstring: str) -> None:
    schema = infer("python3", f'def main(x: str, y: int, z=1):\n    """{docstring}"""').schema
    assert schema["properties"] == {
        "x": {"type": "string", "description": "the name of it"},
        "y": {"type": "integer", "description": "other"},
        "z": {"type": "integer", "default": 1},
    }


def test_a_syntax_error_names_its_line_and_has_no_properties() -> None:
    signature = infer("python3", "def main(x):\n    return 1\nfoo bar\n")
    assert signature.error == "line 3: invalid syntax"
    assert not signature.has_main
    assert signature.schema["properties"] == {}


def test_a_language_without_inference_is_left_open() -> None:
    signature = infer("bash", 'x="$1"')
    assert signature.has_main
    assert signature.error is None
    assert signature.schema["properties"] == {}


def test_classes_that_refer_to_each_other_stay_small() -> None:
    classes = "\n".join(f"class C{n}(TypedDict):\n    a: C{n + 1}\n    b: C{n + 1}\n" for n in range(25))
    signature = infer("python3", f"{classes}\nclass C25(TypedDict):\n    a: int\ndef main(x: C0): pass")
    assert len(json.dumps(signature.schema)) < 200_000


FRAGMENTS = st.sampled_from(
    [
        *(
            "def main(",
            "x: ",
            "list[",
            "]",
            "dict[str, ",
            "Optional[",
            "Literal['a'",
            " | None",
            "): pass\n",
            "class A(A): pass\n",
        ),
        *(
            "A = A\n",
            "B: A = B\n",
            "x: A",
            " = ",
            "{'a': ",
            "}",
            ", ",
            "'",
            "TypedDict",
            "*, ",
            "/, ",
            "class main: pass\n",
            "Enum",
        ),
    ]
)


@settings(deadline=None)
@given(st.lists(FRAGMENTS | st.text(max_size=5), max_size=25).map("".join))
@example("\x00")
@example("\ud800")
@example("(" * 5000)
@example("def main(x: " + "list[" * 80 + "int" + "]" * 80 + "): pass")
@example("def main(x: " + " | ".join(["int"] * 3000) + "): pass")
@example("def main(x=" + "+".join(["1"] * 3000) + "): pass")
@example("def main(x: '" * 3)
@example("A = A\ndef main(x: A): pass")
@example("class A(TypedDict):\n    a: B\nclass B(A):\n    b: A\ndef main(x: B): pass")
@example("class A(A, TypedDict):\n    x: A\ndef main(x: A): pass")
@example("def main(x=[float('nan'), 1e999, 10**5, " + "9" * 100 + "]): pass")
@example("'\\d'\ndef main(x): 1if x else 2")
def test_any_text_has_a_signature_that_json_can_carry(code: str) -> None:
    signature = infer_python(code, "main")
    assert json.loads(json.dumps(signature.schema, allow_nan=False).encode()) == signature.schema
    assert signature.error is None or re.match(r"line \d+: ", signature.error)

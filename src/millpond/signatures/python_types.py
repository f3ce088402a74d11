"""From a Python annotation to a JSON Schema, with the formats that Windmill's forms and clients know.

A name that is not a type of the language stands for a resource type: `db: postgresql` asks for a resource
of type `postgresql`, however the script defines that name to please its editor (an empty class, a
`TypedDict`, `dict`).
"""

import ast
import re
from collections.abc import Callable, Mapping

from millpond.signatures.python_module import Module, base_name, enum_members, literal, parse

Schema = dict[str, object]

_DEEPEST = 30
# Classes that refer to each other several times over would otherwise be written out exponentially often.
_MOST_ANNOTATIONS = 2000

_PLAIN: Mapping[str, Schema] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "bytes": {"type": "string", "contentEncoding": "base64"},
    "datetime": {"type": "string", "format": "date-time"},
    "date": {"type": "string", "format": "date"},
    "time": {"type": "string", "format": "time"},
    "UUID": {"type": "string", "format": "uuid"},
    "Decimal": {"type": "number"},
    "EmailStr": {"type": "string", "format": "email"},
    "Path": {"type": "string"},
    "sql": {"type": "string", "format": "sql"},
    "Any": {},
    "object": {},
    "S3Object": {"type": "object", "format": "resource-s3_object"},
}
_OBJECTS = frozenset(
    {"dict", "Dict", "Mapping", "MutableMapping", "OrderedDict", "defaultdict", "DefaultDict"}
)
_ARRAYS = frozenset(
    {
        *("list", "List", "Sequence", "MutableSequence", "Iterable", "Collection", "tuple", "Tuple"),
        *("set", "Set", "frozenset", "FrozenSet", "AbstractSet"),
    }
)
_JSON_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", dict: "object"}
_WRAPPERS = frozenset({"Annotated", "Required", "NotRequired", "ReadOnly", "Final", "ClassVar"})
_ENUMERATIONS = frozenset({"Enum", "StrEnum", "IntEnum", "Flag", "IntFlag"})
_MODELS = frozenset({"TypedDict", "BaseModel", "NamedTuple", "Struct"})
# Windmill's way to let a script compute the choices of a field.
_DYNAMIC = re.compile(r"Dyn(?P<kind>Select|Multiselect)_(?P<name>\w+)")


class Annotations:
    """Turns the annotations of one module into schemas."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self._left = _MOST_ANNOTATIONS
        self._open: list[str] = []

    def schema(self, annotation: ast.expr) -> Schema:
        """The schema of one annotation; {} where nothing is known. Optional types have `nullable`."""
        self._left -= 1
        if self._left < 0 or len(self._open) > _DEEPEST:
            return {}
        self._open.append("")
        try:
            return self._any(annotation)
        finally:
            self._open.pop()

    def _any(self, annotation: ast.expr) -> Schema:
        schema: Schema = {}
        match annotation:
            case ast.Constant(value=None):
                schema = {"type": "null"}
            case ast.Constant(value=str(text)):
                schema = self._quoted(text)
            case ast.BinOp(op=ast.BitOr()):
                schema = self._union(_alternatives(annotation))
            case ast.Name(id=name):
                schema = self._named(name)
            case ast.Attribute(attr=name):
                schema = self._builtin(name) or {}
            case ast.Subscript(value=value, slice=ast.Tuple(elts=parameters)):
                schema = self._generic(value, parameters)
            case ast.Subscript(value=value, slice=parameter):
                schema = self._generic(value, [parameter])
        return schema

    def _quoted(self, text: str) -> Schema:
        try:
            statement = parse(text.strip(), "eval").body[0]
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return {}
        return self.schema(statement.value) if isinstance(statement, ast.Expr) else {}

    def _named(self, name: str) -> Schema:
        if name in self._module.classes:
            return self._class(name, self._module.classes[name])
        if name in self._module.assigned:
            return self._alias(name, self._module.assigned[name])
        original = self._module.imports.get(name, name).rpartition(".")[2]
        known = self._builtin(original)
        return known if known is not None else _resource(name)

    def _builtin(self, name: str) -> Schema | None:
        if name in _PLAIN:
            return dict(_PLAIN[name])
        if name in _OBJECTS:
            return {"type": "object"}
        if name in _ARRAYS:
            return {"type": "array"}
        if dynamic := _DYNAMIC.fullmatch(name):
            return {"type": "object", "format": f"dyn{dynamic['kind'].lower()}-{dynamic['name']}"}
        return None

    def _generic(self, value: ast.expr, parameters: list[ast.expr]) -> Schema:
        name = base_name(value)
        if isinstance(value, ast.Name):
            name = self._module.imports.get(name, name).rpartition(".")[2]
        schema: Schema
        if name == "Literal":
            schema = _literals(parameters)
        elif name == "Optional":
            schema = self._union([*parameters[:1], ast.Constant(None)])
        elif name == "Union":
            schema = self._union(parameters)
        elif name in _WRAPPERS:
            schema = self.schema(parameters[0]) if parameters else {}
        elif name in _ARRAYS:
            schema = self._array(name, parameters)
        elif name in _OBJECTS:
            values = self.schema(parameters[1]) if len(parameters) == 2 else {}
            schema = {"type": "object"} | ({"additionalProperties": values} if values else {})
        else:
            schema = self.schema(value)
        return schema

    def _array(self, name: str, parameters: list[ast.expr]) -> Schema:
        uniform = name not in {"tuple", "Tuple"} or (
            len(parameters) == 2
            and isinstance(parameters[1], ast.Constant)
            and parameters[1].value is Ellipsis
        )
        items = self.schema(parameters[0]) if parameters and uniform else {}
        return {"type": "array"} | ({"items": items} if items else {})

    def _union(self, alternatives: list[ast.expr]) -> Schema:
        schemas: list[Schema] = []
        for alternative in alternatives:
            schema = self.schema(alternative)
            if schema not in schemas:
                schemas.append(schema)
        concrete = [
            {key: value for key, value in schema.items() if key != "nullable"}
            for schema in schemas
            if schema != {"type": "null"}
        ]
        nullable = len(concrete) < len(schemas) or any(schema.get("nullable") for schema in schemas)
        return _one_of(concrete) | ({"nullable": True} if nullable and concrete else {})

    def _alias(self, name: str, value: ast.expr) -> Schema:
        match value:
            case ast.Name(id="dict" | "Dict") | ast.Attribute(attr="Dict"):
                return _resource(name)
            case ast.Call(args=[_, supertype]) if base_name(value) == "NewType":
                return self._once(name, lambda: self.schema(supertype))
            case ast.Call(args=[_, ast.Dict() as fields]) if base_name(value) == "TypedDict":
                return self._once(name, lambda: self._typed_dict(name, fields))
            case ast.Name() | ast.Attribute() | ast.Subscript() | ast.BinOp():
                return self._once(name, lambda: self.schema(value))
        return _resource(name)

    def _class(self, name: str, definition: ast.ClassDef) -> Schema:
        bases = self._bases(definition)
        if bases & _ENUMERATIONS:
            return _enumeration(list(enum_members(definition).values()))
        is_model = bases & _MODELS or any(base_name(one) == "dataclass" for one in definition.decorator_list)
        # Windmill's editor writes a resource type's fields as a TypedDict under the type's own name.
        if not is_model or ("TypedDict" in bases and name == _snake(name)):
            return _resource(name)
        schema = self._once(name, lambda: self._model(definition))
        return _resource(name) if schema == {"type": "object", "properties": {}, "required": []} else schema

    def _lineage(self, definition: ast.ClassDef) -> list[ast.ClassDef]:
        """The class and those it inherits from, as far as the module defines them; ancestors first."""
        found = [definition]
        for one in found:
            parents = [self._module.classes.get(base_name(base)) for base in one.bases]
            found.extend(parent for parent in parents if parent is not None and parent not in found)
        return list(reversed(found))

    def _bases(self, definition: ast.ClassDef) -> frozenset[str]:
        return frozenset(base_name(base) for one in self._lineage(definition) for base in one.bases)

    def _model(self, definition: ast.ClassDef) -> Schema:
        properties: dict[str, object] = {}
        required: list[str] = []
        for field in (field for one in self._lineage(definition) for field in _own_fields(one)):
            assert isinstance(field.target, ast.Name)
            name = field.target.id
            schema = self.schema(field.annotation)
            value = field.value
            if value is not None and (constant := literal(value)) is not None:
                schema = schema | {"default": constant.value}
            if name not in properties and not schema.get("nullable") and _is_required(field):
                required.append(name)
            properties[name] = schema
        return {"type": "object", "properties": properties, "required": required}

    def _typed_dict(self, name: str, fields: ast.Dict) -> Schema:
        if name == _snake(name):
            return _resource(name)
        properties = {
            key.value: self.schema(value)
            for key, value in zip(fields.keys, fields.values, strict=True)
            if isinstance(key, ast.Constant) and isinstance(key.value, str)
        }
        return {"type": "object", "properties": properties, "required": list(properties)}

    def _once(self, name: str, make: Callable[[], Schema]) -> Schema:
        """What `make` returns, unless `name` is being written out already: a type may contain itself."""
        if name in self._open:
            return {"type": "object"}
        self._open.append(name)
        try:
            return make()
        finally:
            self._open.pop()


def schema_of_value(value: object) -> Schema:
    """The schema of a default, where the annotation says less."""
    if isinstance(value, list):
        items = [schema_of_value(item) for item in value]
        return {"type": "array"} | ({"items": items[0]} if items and items[0] and _all_same(items) else {})
    name = _JSON_TYPES.get(type(value))
    return {"type": name} if name is not None else {}


def _all_same(schemas: list[Schema]) -> bool:
    return all(schema == schemas[0] for schema in schemas)


def _own_fields(definition: ast.ClassDef) -> list[ast.AnnAssign]:
    return [
        statement
        for statement in definition.body
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)
        if base_name(statement.annotation) != "ClassVar"
    ]


def _is_required(field: ast.AnnAssign) -> bool:
    """Whether a model's field must be given; `Field(...)` and `field(...)` need not have a default."""
    match field.value:
        case None:
            return base_name(field.annotation) != "NotRequired"
        case ast.Call(func=function, args=arguments, keywords=keywords) if (
            base_name(function).lower() == "field"
        ):
            named = any(keyword.arg in {"default", "default_factory"} for keyword in keywords)
            given = bool(arguments) and not (
                isinstance(arguments[0], ast.Constant) and arguments[0].value is Ellipsis
            )
            return not named and not given
    return False


def _alternatives(annotation: ast.expr) -> list[ast.expr]:
    """The members of `a | b | c`, without recursion: a tool may write hundreds."""
    found: list[ast.expr] = []
    while isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        found.append(annotation.right)
        annotation = annotation.left
    return [annotation, *reversed(found)]


def _one_of(schemas: list[Schema]) -> Schema:
    if len(schemas) == 1:
        return schemas[0]
    if not schemas or {} in schemas:
        return {}
    if all(schema in ({"type": "integer"}, {"type": "number"}) for schema in schemas):
        return {"type": "number"}
    return {"oneOf": schemas}


def _literals(parameters: list[ast.expr]) -> Schema:
    values = [constant.value for one in parameters if (constant := literal(one)) is not None]
    schema = _enumeration([value for value in values if value is not None])
    return schema | ({"nullable": True} if None in values else {})


def _enumeration(values: list[object]) -> Schema:
    if not values:
        return {}
    types = [schema_of_value(value) for value in values]
    return (types[0] if _all_same(types) else {}) | {"enum": values}


def _resource(name: str) -> Schema:
    return {"type": "object", "format": f"resource-{_snake(name)}"}


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()

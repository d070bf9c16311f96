"""Writes ``int8rt/format/schema.py``, the tables by which ``int8rt/format/flatbuffer.py`` reads the .tflite format.

    python schema/tables.py            write it
    python schema/tables.py --check    fail where the file differs from what would be written

The facts come from the code that the FlatBuffers compiler made for the `tflite` package (which slot of which table
holds what, and its default), and from ``newer.fbs`` beside this file for what that package lacks.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent / "int8rt" / "format" / "schema.py"

SCALARS = {
    "Bool": "bool",
    "Int8": "byte",
    "Uint8": "ubyte",
    "Int16": "short",
    "Uint16": "ushort",
    "Int32": "int",
    "Uint32": "uint",
    "Int64": "long",
    "Uint64": "ulong",
    "Float32": "float",
    "Float64": "double",
}

# The union behind a field: generated code does not name it.
UNION_OF = {
    ("Operator", "builtin_options"): "BuiltinOptions",
    ("Operator", "builtin_options_2"): "BuiltinOptions2",
    ("QuantizationParameters", "details"): "QuantizationDetails",
    ("DimensionMetadata", "array_segments"): "SparseIndexVector",
    ("DimensionMetadata", "array_indices"): "SparseIndexVector",
}

# Options tables that are not named after their operator.
OPTIONS_OF = {
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "L2_POOL_2D": "Pool2DOptions",
    "L2_NORMALIZATION": "L2NormOptions",
    "MAXIMUM": "MaximumMinimumOptions",
    "MINIMUM": "MaximumMinimumOptions",
    "UNIDIRECTIONAL_SEQUENCE_RNN": "SequenceRNNOptions",
    "CONV_3D_TRANSPOSE": "Conv3DOptions",
    "RANDOM_UNIFORM": "RandomOptions",
    "RANDOM_STANDARD_NORMAL": "RandomOptions",
    "MULTINOMIAL": "RandomOptions",
} | dict.fromkeys(
    ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "REDUCE_ANY", "REDUCE_ALL"), "ReducerOptions"
)

DEPRECATED = "-"  # a slot that writers leave empty and generated code has no name for

Tables = dict[str, dict[int, str]]  # table -> slot -> "name:type=default", as .fbs has it
Enums = dict[str, dict[int, str]]  # enum or union -> value -> name


def snake_case(name: str) -> str:
    """builtinOptions2 -> builtin_options_2; seed2 stays."""
    name = re.sub(r"(?<=.)([A-Z])", r"_\1", name).lower()
    return name.replace("options2", "options_2")


def field_type(table: str, name: str, source: str) -> str:
    """The .fbs type of a field that is not a scalar, from the body of its accessor."""
    accessor = name[0].upper() + name[1:]
    body = re.search(rf"    def {accessor}\(self(, j)?\):\n((?:        .*\n)+)", source)
    if body is None:
        raise ValueError(f"{table}.{name} has no accessor")
    if "_tab.Union(" in body[2]:
        return UNION_OF[table, snake_case(name)]
    if scalar := re.search(r"_tab\.Get\(flatbuffers\.number_types\.(\w+)Flags", body[2]):
        item = SCALARS[scalar[1]]
    elif "_tab.String(" in body[2]:
        item = "string"
    elif imported := re.search(r"from tflite\.(\w+) import", body[2]):
        item = imported[1]
    else:
        raise ValueError(f"{table}.{name}: cannot tell its type")
    return f"[{item}]" if body[1] else item


def package_tables(source: str) -> Tables:
    """The tables of one generated file: at most one."""
    start = re.search(r"^def (\w+)Start\(builder\):\n\s+(?:return )?builder\.StartObject\((\d+)\)", source, re.M)
    if start is None:
        return {}
    table, fields = start[1], {}
    adds = rf"^def {table}Add(?:\w+)\(builder, (\w+)\):\n\s+builder\.Prepend(\w+)Slot\((\d+), (.+), ([^,\n]+)\)$"
    for name, kind, slot, _, default in re.findall(adds, source, re.M):
        if kind == "UOffsetTRelative":
            fields[int(slot)] = f"{snake_case(name)}:{field_type(table, name, source)}"
        else:
            omitted = "" if float(default) == 0 else f"={default}"
            fields[int(slot)] = f"{snake_case(name)}:{SCALARS[kind]}{omitted}"
    slots = range(int(start[2]))
    if not fields.keys() <= set(slots):
        raise ValueError(f"{table} has {start[2]} slots, but {sorted(fields)} were found")
    return {table: {slot: fields.get(slot, DEPRECATED) for slot in slots}}


def package_enums(source: str) -> Enums:
    """The enums and unions of one generated file: at most one."""
    found = re.search(r"^class (\w+)\(object\):\n((?:    \w+ = -?\d+\n)+)", source, re.M)
    if found is None:
        return {}
    return {found[1]: {int(value): name for name, value in re.findall(r"(\w+) = (-?\d+)", found[2])}}


def read_package() -> tuple[Tables, Enums]:
    """All tables and enums of the installed `tflite` package."""
    spec = importlib.util.find_spec("tflite")
    if spec is None or spec.origin is None:
        raise SystemExit("the tflite package is not installed")
    tables: Tables = {}
    enums: Enums = {}
    for path in sorted(Path(spec.origin).parent.glob("*.py")):
        source = path.read_text(encoding="utf-8")
        tables |= package_tables(source)
        enums |= package_enums(source)
    return tables, enums


def extend(tables: Tables, enums: Enums, fbs: str) -> None:
    """Adds the enums, unions and tables of a .fbs text."""
    fbs = re.sub(r"//.*", "", fbs)
    for name, body in re.findall(r"(?:enum|union)\s+(\w+)[^{]*\{([^}]*)\}", fbs):
        values = {int(value): item for item, value in re.findall(r"(\w+)\s*=\s*(\d+)", body)}
        enums.setdefault(name, {}).update(values)
    for name, body in re.findall(r"table\s+(\w+)\s*\{([^}]*)\}", fbs):
        fields = tables.setdefault(name, {})
        for field, kind, slot in re.findall(r"(\w+):([\w\[\]]+)\s*(?:\(id:\s*(\d+)\))?;", body):
            fields[int(slot) if slot else len(fields)] = f"{field}:{kind}"


def options_tables(tables: Tables, operators: dict[int, str]) -> dict[str, str]:
    """Operator -> its options table, for operators that have one."""
    by_name = {name.removesuffix("Options").lower(): name for name in tables if name.endswith("Options")}
    found = {name: OPTIONS_OF.get(name) or by_name.get(name.replace("_", "").lower()) for name in operators.values()}
    return {name: table for name, table in found.items() if table}


def check(tables: Tables, enums: Enums) -> None:
    """Every slot is known, every type exists, and no table contains itself (readers recurse without a limit)."""

    def visit(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            raise ValueError(f"table {name} contains itself: {' > '.join(above)}")
        if sorted(tables[name]) != list(range(len(tables[name]))):
            raise ValueError(f"table {name} has gaps: slots {sorted(tables[name])}")
        for field in tables[name].values():
            if field == DEPRECATED:
                continue
            kind = re.split("[:=]", field)[1].strip("[]")
            if kind not in SCALARS.values() and kind != "string":
                for inner in [t for t in enums[kind].values() if t != "NONE"] if kind in enums else [kind]:
                    visit(inner, (*above, name))

    visit("Model", ())


def text_of(tables: Tables, enums: Enums) -> str:
    """The module's text."""
    unions = sorted(set(UNION_OF.values()))
    lines = [
        '"""The .tflite format as data: written by schema/tables.py, not by hand."""',
        "",
        "# table -> its fields in the order of their slots, as name:type=default",
        "TABLES = {",
        *(f'    "{name}": "{" ".join(tables[name][s] for s in sorted(tables[name]))}",' for name in sorted(tables)),
        "}",
        "",
        "# union -> type number -> table",
        "UNIONS = {",
    ]
    for union in unions:
        lines += [
            f'    "{union}": {{',
            *(f'        {v}: "{t}",' for v, t in sorted(enums[union].items()) if v),
            "    },",
        ]
    lines += ["}", "", "# TensorType", "TYPES = {"]
    lines += [f'    {value}: "{name}",' for value, name in sorted(enums["TensorType"].items())]
    lines += ["}", "", "# BuiltinOperator", "OPERATORS = {"]
    lines += [f'    {value}: "{name}",' for value, name in sorted(enums["BuiltinOperator"].items())]
    lines += ["}", "", "# operator -> its options table, where it has one", "OPTIONS = {"]
    options = options_tables(tables, enums["BuiltinOperator"])
    lines += [f'    "{name}": "{table}",' for name, table in sorted(options.items())]
    return "\n".join(["# ruff: noqa: E501", *lines, "}", ""])


def main() -> int:
    """Writes or checks the module; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare, do not write")
    arguments = parser.parse_args()
    tables, enums = read_package()
    extend(tables, enums, (HERE / "newer.fbs").read_text(encoding="utf-8"))
    check(tables, enums)
    text = text_of(tables, enums)
    if not arguments.check:
        TARGET.write_text(text, encoding="utf-8")
    elif TARGET.read_text(encoding="utf-8") != text:
        print(f"{TARGET} is not what schema/tables.py writes: run it again", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

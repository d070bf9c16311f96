"""Imports go one way, LLVM stays in three modules, and a warm start needs neither Numba nor LLVM nor LiteRT."""

import ast
import functools
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "int8rt"

# Each module imports from those before it; modules of one line do not know of one another.
LAYERS = [
    "errors _schema libm loader host",
    "_flatbuffer graph elf",
    "jit numerics",
    "compiling fixedpoint simd",
    "calling simd_wide",
    "fixedmath requantization ops",
    "dot arena reader",
    "depthwise wide",
    "hybrid weight_only",
    "ops._*",
    "ops.*",
    "simulate state team",
    "infer placement",
    "evaluator",
    "program",
    "session",
    "model interpreter",
    "checked images profile report warmup",
    "_litert_child",
    "litert",
    "compare",
    "__init__",
    "cli",
    "__main__",
]
MODULES = sorted(".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in PACKAGE.rglob("*.py"))
MODULES = [name.removesuffix(".__init__") for name in MODULES]
OPERATORS = [name for name in MODULES if name.startswith("ops.") and not name.startswith("ops._")]


SPEAK_LLVM = ("jit", "simd", "simd_wide")


@functools.cache
def layer(module: str) -> int:
    """The position of a module of int8rt, by its name without ``int8rt.``."""
    kind = module
    if module.startswith("ops."):
        kind = "ops._*" if module.startswith("ops._") else "ops.*"
    found = [i for i, names in enumerate(LAYERS) if kind in names.split()]
    assert found, f"int8rt.{module} has no layer yet: say in LAYERS what it may import"
    return found[0]


@functools.cache
def tree(module: str) -> ast.Module:
    path = PACKAGE.joinpath(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(module: str, everywhere: bool = True) -> set[str]:
    """What a module imports, by full names; with ``everywhere`` within functions too, never for type checking alone."""
    found = set()
    skipped = {
        id(inner)
        for node in ast.walk(tree(module))
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    top = {id(node) for node in tree(module).body}
    for node in ast.walk(tree(module)):
        if id(node) in skipped or not (everywhere or id(node) in top):
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def imports_of_ours(module: str, everywhere: bool = True) -> set[str]:
    """The modules of int8rt among them, without ``int8rt.``."""
    names = {name.removeprefix("int8rt").lstrip(".") for name in imports(module, everywhere) if _root(name) == "int8rt"}
    ours = set()
    for name in names:
        parts = name.split(".") if name else ["__init__"]
        while parts and ".".join(parts) not in MODULES:
            parts.pop()
        ours.add(".".join(parts) or "__init__")
    return ours - {module}


def _root(name: str) -> str:
    return name.partition(".")[0]


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_one_way(module):
    """Also within functions. What families of operators share may build on what others share, without a circle."""
    upwards = {name for name in imports_of_ours(module) if layer(name) >= layer(module)}
    if module.startswith("ops._"):
        upwards = {name for name in upwards if not name.startswith("ops._") or module in reached(name)}
    assert not upwards, f"int8rt.{module} imports {', '.join(sorted(upwards))}"


def reached(module: str) -> set[str]:
    """The families of operators whose modules this one imports, directly or not."""
    found: set[str] = set()
    open_ = [module]
    while open_:
        beyond = {name for name in imports_of_ours(open_.pop()) if name.startswith("ops._")} - found
        found |= beyond
        open_ += beyond
    return found


@pytest.mark.parametrize("module", OPERATORS)
def test_operators_know_neither_one_another_nor_programs(module):
    known = imports_of_ours(module)
    assert not known & {"program", "reader", "arena", "model", "interpreter"}
    assert not known & set(OPERATORS)


@pytest.mark.parametrize("module", MODULES)
def test_few_modules_speak_llvm(module):
    assert not {name for name in imports(module) if _root(name) == "llvmlite"} or module in SPEAK_LLVM


@pytest.mark.parametrize("module", MODULES)
def test_numba_is_imported_where_something_is_compiled_only(module):
    assert not {"numba", "llvmlite"} & {_root(name) for name in imports(module, everywhere=False)}
    assert "numba" not in {_root(name) for name in imports(module)} or module in SPEAK_LLVM


@pytest.mark.parametrize("module", MODULES)
def test_only_the_child_process_imports_litert(module):
    used = {_root(name) for name in imports(module)}
    assert not used & {"ai_edge_litert", "tensorflow", "tflite_runtime"} or module == "_litert_child"


@pytest.mark.parametrize("module", OPERATORS)
def test_operators_have_their_parts_in_order(module):
    """Docstring, shapes, reference, prepare; control in place of the last two where Python decides what runs."""
    defined = []
    for node in tree(module).body:
        targets = [t.id for t in node.targets if isinstance(t, ast.Name)] if isinstance(node, ast.Assign) else []
        defined += [node.name] if isinstance(node, ast.FunctionDef) else targets
    known = {*defined, *(name.rpartition(".")[2] for name in imports(module))}
    assert ast.get_docstring(tree(module)), "no docstring"
    assert {"reference", "prepare"} <= known or "control" in known
    own = [name for name in defined if name in PARTS]
    assert own == [name for name in PARTS if name in own]


PARTS = ("shapes", "reference", "control", "prepare")


def test_importing_everything_imports_no_compiler_and_no_litert(python):
    code = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(sorted({"numba", "llvmlite", "ai_edge_litert", "tensorflow", "scipy", "PIL"} & set(sys.modules)))
"""
    names = [f"int8rt.{name}" for name in MODULES if name not in ("__init__", "__main__", "_litert_child", "cli")]
    assert python(code, "int8rt", *names) == "[]\n"


@pytest.mark.parametrize("module", ["int8rt", "int8rt.program", "int8rt.ops.conv_2d", "int8rt.reader"])
def test_importing_one_module_first(module, python):
    """No order of imports hides a circle."""
    assert python(f"import sys, {module}; print({{'numba', 'llvmlite'}} & set(sys.modules))") == "set()\n"

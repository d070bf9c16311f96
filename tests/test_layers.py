"""Imports go one way, operators keep their contract, and few modules emit LLVM IR.

A warm start needs neither Numba nor LLVM nor LiteRT.

The layers are the folders: each imports from those before it, and from the modules on the ground, which stand beside
the folders. Within a folder there is no circle.
"""

import ast
import functools
import importlib
import inspect
from pathlib import Path

import pytest

from int8rt import ops

PACKAGE = Path(__file__).parents[1] / "int8rt"

# Folders from below, and the modules beside them that are not on the ground.
ORDER = [
    "format", "native", "jit", "numerics", "simd", "kernels", "ops", "plan", "runtime", "data", "quant",
    "__init__", "tools", "__main__",
]  # fmt: skip

MODULES = sorted(".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in PACKAGE.rglob("*.py"))
MODULES = [name.removesuffix(".__init__") for name in MODULES]
OPERATORS = [name for name in MODULES if name.startswith("ops.") and not name.startswith("ops._")]


def emits_ir(module: str) -> bool:
    """Whether a module may import Numba and llvmlite, in its functions."""
    return module in ("native.kernel", "native.compiler") or module.startswith("simd.")


def asks_llvm(module: str) -> bool:
    """Whether a module may import llvmlite, in its functions: to load code, and to ask what the CPU has."""
    return emits_ir(module) or module in ("native.cpu", "native.llvm_loader")


def layer(module: str) -> int:
    """The number of the folder that a module of int8rt lives in, by its name without ``int8rt.``; 0 is the ground."""
    folder = module.partition(".")[0]
    return ORDER.index(folder) + 1 if folder in ORDER else 0


def test_every_folder_has_its_place():
    assert {p.name for p in PACKAGE.iterdir() if (p / "__init__.py").exists()} < set(ORDER)


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
    """Also within functions. Modules of one folder may build on one another, without a circle."""
    known = imports_of_ours(module)
    upwards = {name for name in known if layer(name) > layer(module)}
    circles = {name for name in known if layer(name) == layer(module) and module in reached(name)}
    assert not upwards | circles, f"int8rt.{module} imports {', '.join(sorted(upwards | circles))}"


@functools.cache
def reached(module: str) -> set[str]:
    """The modules of the same layer that this one imports, directly or not."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        beyond = {name for name in imports_of_ours(waiting.pop()) if layer(name) == layer(module)} - found
        found |= beyond
        waiting += beyond
    return found


@pytest.mark.parametrize("module", OPERATORS)
def test_operators_do_not_know_one_another(module):
    known = imports_of_ours(module)
    assert not known & set(OPERATORS)


@pytest.mark.parametrize("module", [name for name in MODULES if not name.startswith("simd")])
def test_only_simd_tells_cpus_apart(module):
    """Others ask its tables, which tests and benchmarks walk too."""
    assert "simd.features" not in imports_of_ours(module)


@pytest.mark.parametrize("module", MODULES)
def test_few_modules_use_llvm(module):
    assert not {name for name in imports(module) if _root(name) == "llvmlite"} or asks_llvm(module)


@pytest.mark.parametrize("module", MODULES)
def test_numba_is_imported_where_something_is_compiled_only(module):
    assert not {"numba", "llvmlite"} & {_root(name) for name in imports(module, everywhere=False)}
    assert "numba" not in {_root(name) for name in imports(module)} or asks_llvm(module)


@pytest.mark.parametrize("module", MODULES)
def test_only_the_child_process_imports_litert(module):
    used = {_root(name) for name in imports(module)}
    assert not used & {"ai_edge_litert", "tensorflow", "tflite_runtime"} or module == "tools.litert_child"


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


def parameters(function) -> list[str]:
    """The names of a function's parameters that its callers give, after ``self``."""
    return [name for name in inspect.signature(function).parameters if name != "self"]


FUNCTIONS = {name: parameters(f) for name, f in vars(ops.Operator).items() if name in ops.FACTS and callable(f)}
FUNCTIONS["control"] = parameters(ops.Control.__call__)


def test_the_contract():
    """What the tests below compare operators with; a change of it is a change of docs/custom_operators.md."""
    assert FUNCTIONS == {
        "shapes": ["node"],
        "reference": ["node", "arrays"],
        "prepare": ["node", "numerics"],
        "control": ["node", "runtime", "arrays"],
        "constant": ["node"],
        "body": ["node"],
        "resource": ["node"],
    }
    assert set(ops.FACTS) - set(FUNCTIONS) == {"operands", "keeps_state", "runs_once", "by_value"}


@pytest.mark.parametrize("module", OPERATORS)
def test_operators_keep_the_contract(module):
    """The same arguments by name, where the contract says ``*arrays`` any number; operands are a line, facts bools."""
    operator = importlib.import_module(f"int8rt.{module}")
    assert isinstance(operator.operands, str)
    for name in (set(ops.FACTS) - {"operands"}) & set(vars(operator)):
        found = getattr(operator, name)
        if name in FUNCTIONS:
            expected = [p for p in FUNCTIONS[name] if p != "arrays"]
            has_arrays = len(expected) < len(FUNCTIONS[name])
            assert parameters(found)[: len(expected)] == expected, name
            assert has_arrays or len(parameters(found)) == len(expected), name
            kinds = {p.kind for p in inspect.signature(found).parameters.values()}
            assert kinds <= {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}, name
        else:
            assert isinstance(found, bool), name


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith(("plan", "runtime"))])
def test_who_plans_and_runs_names_no_operator(module):
    """What an operator is to them it declares itself: see ``Operator``."""
    strings = {n.value for n in ast.walk(tree(module)) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    assert not strings & set(ops.supported())
    assert not {name for name in imports_of_ours(module) if name in OPERATORS}


def test_importing_everything_imports_no_compiler_and_no_litert(python):
    code = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(sorted({"numba", "llvmlite", "ai_edge_litert", "tensorflow", "scipy", "PIL"} & set(sys.modules)))
"""
    names = [
        f"int8rt.{name}" for name in MODULES if name not in ("__init__", "__main__", "tools.litert_child", "tools.cli")
    ]
    assert python(code, "int8rt", *names) == "[]\n"


@pytest.mark.parametrize("module", ["int8rt", "int8rt.plan.program", "int8rt.ops.conv_2d", "int8rt.format.reader"])
def test_importing_one_module_first(module, python):
    """No order of imports hides a circle."""
    assert python(f"import sys, {module}; print({{'numba', 'llvmlite'}} & set(sys.modules))") == "set()\n"


def test_files_of_tests_have_names_of_their_own():
    """Python imports them by these alone, so that of two with one name the second is not collected."""
    names = [path.name for path in Path(__file__).parent.rglob("*.py")]
    assert sorted(names) == sorted(set(names))

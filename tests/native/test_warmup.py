"""Compiling many kernels by several processes and ahead of time: what helpers do, and what happens if they do not."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from paths import MODELS
from selection import exhaustive
from writer import Op, T, network

import int8rt
from int8rt.format import reader
from int8rt.kernels import dot
from int8rt.native import helpers as compiling
from int8rt.native.cache import read_entry, write_entry
from int8rt.native.kernel import Kernel, find_kernel
from int8rt.numerics.rules import numerics
from int8rt.ops import _elementwise, _sum
from int8rt.runtime import pool, session
from int8rt.runtime.instance import entry_points

MODEL = MODELS / "digits_conv_int8.tflite"

# A kernel for each of so many types, which no other test compiles, and what is in the cache afterwards.
COPY = find_kernel('["int8rt.ops._lookup", "mapping", [["int8rt.ops.cast", "unchanged"]]]')
TYPES = ("int8", "uint8", "int16", "int32", "int64", "float32")
MANY = """
import os, subprocess, sys, threading
from int8rt.native import cache, helpers as compiling
from int8rt.native.entries import is_cached
from int8rt.native.kernel import find_kernel
copy = find_kernel('["int8rt.ops._lookup", "mapping", [["int8rt.ops.cast", "unchanged"]]]')
types = ("int8", "uint8", "int16", "int32", "int64", "float32")
jobs = [(copy, (f"{x}[1]", f"{y}[1]")) for x in types[:2] for y in types]
compiling._cpus = lambda: 3
started, heard = [], []
start = subprocess.Popen
class Popen(start):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        started.append(self)
subprocess.Popen = Popen
"""
RUN = """
compiling.compile_all(jobs, lambda *call: heard.append(call))
assert all(s in k.entries for k, s in jobs)
done = [d for _, d, _ in heard]
assert done == sorted(done) and done[0] == 0 and heard[-1] == ("", 12, 12)
assert all(p.poll() is not None for p in started)
assert [t.name for t in threading.enumerate()] == ["MainThread"]
print(len(started), len(heard) < 13, len(list(cache.cache_folder().iterdir())))
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A copy of int8rt that nobody edits while the tests run: an edit would make the cache stale."""
    folder = tmp_path_factory.mktemp("package")
    shutil.copytree(Path(int8rt.__file__).parent, folder / "int8rt", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture
def python(python, package):
    """Run code in another process, on the copy."""
    return lambda code, *args, check=True, **environment: python(code, *args, check=check, cwd=package, **environment)


# Recipes


@pytest.mark.parametrize(
    "kernel",
    [
        pool.run_table,
        dot.dot(6, 4, "plain"),
        dot.dot(6, 4, "fixed", corrected=True),
        dot.dot_accumulate(12, 1),
        _elementwise.loop(_sum.scaled_sum),
        COPY,
    ],
    ids=repr,
)
def test_a_recipe_leads_back_to_the_kernel(kernel):
    assert find_kernel(kernel.recipe).function.__code__ is kernel.function.__code__
    assert find_kernel(kernel.recipe).name == kernel.name


@pytest.mark.parametrize("path", sorted(MODEL.parent.glob("*.tflite")), ids=lambda path: path.stem)
def test_every_kernel_of_a_model_can_be_made_elsewhere(path):
    kernels = [kernel for kernel, _ in entry_points(session.plan(reader.read(path).main, numerics("reference")))]
    assert [k for k in kernels if find_kernel(k.recipe) is not k] == []


def test_kernels_of_a_factory_are_made_once():
    assert dot.dot(6, 4, "plain") is dot.dot(6, 4, "plain")
    assert dot.dot(6, 4, "plain") is not dot.dot(6, 4, "fixed")


@pytest.mark.parametrize(
    "recipe",
    [
        "",
        "null",
        "[]",
        '["int8rt.runtime.pool"]',
        '["int8rt.runtime.pool", "no_such_kernel"]',
        '["int8rt.no_such_module", "run"]',
        '["int8rt.runtime.pool", "meet"]',  # Inline
        '["int8rt.runtime.pool", "kernels", [1]]',  # no kernel factory
        '["int8rt.kernels.dot", "dot", [6, 4, "no such kind"]]',
        '["int8rt.kernels.dot", "dot", [6]]',
        '["int8rt.ops._elementwise", "loop", [["int8rt.ops._sum", "no_such_formula"]]]',
        '["os", "getcwd"]',
        '["os", "getcwd", []]',
        '["int8rt.native.kernel", "operator.attrgetter", []]',
    ],
)
def test_recipes_of_nothing(recipe):
    assert find_kernel(recipe) is None


def test_kernels_of_others_are_not_found():
    """Helpers import int8rt, never what calls it."""
    kernel = Kernel(lambda y: None, "mine")
    assert find_kernel(kernel.recipe) is None
    assert find_kernel(json.dumps([__name__, "COPY"])) is None


# Helpers


def test_helpers_compile_a_part(python, tmp_path):
    assert python(MANY + RUN, INT8RT_CACHE_DIR=tmp_path) == "2 True 12\n"


TROUBLE = {
    "dies at once": "compiling._START = 'raise SystemExit'",
    "dies over its first kernel": "compiling._START = compiling._START.replace('compiling.help', 'import os; "
    "compiling._made = lambda *_: os._exit(1); compiling.help')",
    "dies later": "compiling._START = compiling._START.replace('compiling.help', 'compiling._made = 0; "
    "compiling.help')",
    "never says anything": "compiling._START = 'import time; time.sleep(60)'",
    "says something else": "compiling._START = 'print(1, flush=True); import time; time.sleep(60)'",
    "never comes back": "compiling.PATIENCE = 0.1; compiling._START = compiling._START.replace('compiling.help', "
    "'import time; compiling._made = lambda *_: time.sleep(60); compiling.help')",
    "does nothing": "compiling._START = compiling._START.replace('compiling.help', 'compiling._made = lambda *_: True; "
    "compiling.help')",
}


@pytest.mark.parametrize("trouble", [*list(TROUBLE)[:2], *exhaustive(*list(TROUBLE)[2:])])
def test_helpers_that_do_not_help(python, tmp_path, trouble):
    started, _, entries = python(f"{MANY}\n{TROUBLE[trouble]}\n{RUN}", INT8RT_CACHE_DIR=tmp_path).split()
    assert (started, entries) == ("2", "12")


NOBODY = {
    "one CPU": "compiling._cpus = lambda: 1",
    "few kernels": "compiling.JOBS_WORTH_A_HELPER = 13",
    "frozen": "sys.frozen = True",
    "another program": "sys.executable = '/usr/sbin/uwsgi'",
    "no program": "sys.executable = None",
    "daemon": "import multiprocessing; multiprocessing.current_process()._config['daemon'] = True",
    "read-only": "import tempfile\ndef refuse(*_, **__): raise PermissionError\n"
    "tempfile.TemporaryFile = tempfile.mkstemp = refuse",
    "no processes": "def refuse(*_, **__): raise OSError\nsubprocess.Popen = refuse",
    "no threads": "def refuse(*_, **__): raise RuntimeError\nthreading.Thread.start = refuse",
}


@pytest.mark.parametrize("reason", [*list(NOBODY)[:2], *exhaustive(*list(NOBODY)[2:])])
def test_where_no_helper_is_started(python, tmp_path, reason):
    code = f"{MANY}\n{NOBODY[reason]}\n{RUN}"
    started, helped, entries = python(code, INT8RT_CACHE_DIR=tmp_path).split()
    assert started == ("1" if reason == "no threads" else "0")
    assert (helped, entries) == ("False", "0" if reason == "read-only" else "12")


def test_helpers_do_not_run_the_caller_s_program(python, tmp_path):
    """A script without a guard for its main part, in a folder whose modules hide those of Python."""
    (tmp_path / "json.py").write_text("raise SystemExit('wrong module')")
    (tmp_path / "script.py").write_text(f"import sys\ndel sys.path[0]\nprint('begin')\n{MANY}{RUN}")
    code = "import subprocess, sys; subprocess.run([sys.executable, 'script.py'], cwd=sys.argv[1], check=True)"
    assert python(code, tmp_path, INT8RT_CACHE_DIR=tmp_path / "cache") == "begin\n2 True 12\n"


def test_errors_of_kernels_are_told(python, tmp_path):
    code = """
jobs[3] = copy, ("int8[1]", "no_such_type[1]")
try:
    compiling.compile_all(jobs)
except TypeError as error:
    print(error)
assert all(p.poll() is not None for p in started)
assert compiling.compile_all(jobs, lenient=True) <= 12
print([is_cached(k, s) for k, s in jobs].count(False))
"""
    out = python(MANY + code, INT8RT_CACHE_DIR=tmp_path)
    assert "no_such_type" in out
    assert out.endswith("\n1\n")


def test_work_is_taken_from_both_ends():
    work = compiling.Work((COPY, (name,)) for name in "abc")
    assert (work.total, work.done) == (3, 0)
    assert work.take()[1] == ("a",)
    assert work.take(last=True)[1] == ("c",)
    work.finish()
    assert (work.take()[1], work.take(), work.take(last=True)) == (("b",), None, None)
    assert work.done == 1


# int8rt warmup


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A model that needs few kernels."""
    x, y = T(np.int8, (2, 3), 0.5), T(np.int8, (2, 3), 0.7)
    path = tmp_path_factory.mktemp("small") / "model.tflite"
    path.write_bytes(network([Op("ABS", [x], [y])], [x], [y]))
    return path


@pytest.fixture
def warmup(python, tmp_path):
    """Runs the command in another process: what it says in JSON."""
    code = "import sys; from int8rt.tools.cli import main; main(['warmup', '--json', *sys.argv[1:]])"

    def run(*args, **environment):
        return json.loads(python(code, *args, **{"INT8RT_CACHE_DIR": tmp_path, **environment}))

    return run


RUN_MODEL = """
import sys
from int8rt.tools.cli import main
try:
    main(["run", *sys.argv[1:]])
finally:
    print("numba" in sys.modules)
"""


def test_after_warmup_nothing_is_compiled(warmup, python, tmp_path):
    first, again = warmup(MODEL), warmup(MODEL)
    assert first["compiled"] > 5
    assert again["compiled"] == 0
    assert Path(first["folder"]).parent == tmp_path
    for threads in (1, 2):
        out = python(RUN_MODEL, MODEL, "--threads", threads, INT8RT_CACHE_DIR=tmp_path)
        assert out.endswith("False\n"), out


def test_kernels_of_other_versions_are_compiled_for_this_one(warmup, python, small, tmp_path):
    compiled = warmup(small)["compiled"]
    folder = Path(warmup()["folder"])
    other = folder.rename(tmp_path / ("0" * 20))
    foreign = tmp_path / "someone's folder"
    foreign.mkdir()
    gone = next(other.glob("*.o"))
    entry = read_entry(gone)
    write_entry(other / "gone.o", entry._replace(recipe='["int8rt.runtime.pool", "gone"]'))
    write_entry(other / "changed.o", entry._replace(signature=("int",)))
    (other / "damaged.o").write_bytes(b"damaged")
    renewed = warmup()
    assert (renewed["compiled"], renewed["lacking"]) == (compiled, 2)
    assert python(RUN_MODEL, small, INT8RT_CACHE_DIR=tmp_path).endswith("False\n")
    assert warmup("--prune")["pruned"] > 10000
    assert {p for p in tmp_path.iterdir() if p.is_dir()} == {folder, foreign}
    assert warmup("--prune")["pruned"] == 0


def test_kernels_that_depend_on_values_are_compiled_too(warmup, python, tmp_path):
    """What is behind a RESHAPE by a computed shape is planned when the model runs."""
    x, shape, size = T(np.int8, (2, 3), 0.5), T(np.int32, (2,)), T(np.int32, (2,), data=[3, 2])
    zero, computed, y, z = T(np.int32, (2,)), T(np.int32, (2,)), T(np.int8, (2, 3), 0.5), T(np.int8, (2, 3), 0.5)
    ops = [
        Op("SUB", [shape, shape], [zero]), Op("ADD", [zero, size], [computed]), Op("RESHAPE", [x, computed], [y]),
        Op("ABS", [y], [z]),
    ]  # fmt: skip
    path = tmp_path / "model.tflite"
    path.write_bytes(network(ops, [x, shape], [z]))
    assert warmup(path)["compiled"] > 0
    assert python(RUN_MODEL, path, INT8RT_CACHE_DIR=tmp_path).endswith("False\n")


@pytest.mark.exhaustive
def test_random_data_need_not_fit(warmup, tmp_path):
    x, y, z = (T(np.int8, (2, 3), 0.5) for _ in range(3))
    shape = T(np.int32, (2,))
    path = tmp_path / "model.tflite"
    path.write_bytes(network([Op("ABS", [x], [y]), Op("RESHAPE", [y, shape], [z])], [x, shape], [z]))
    assert warmup(path)["compiled"] > 0


def test_what_it_prints(python, small, tmp_path):
    code = "import sys; from int8rt.tools.cli import main; main(['warmup', *sys.argv[1:]])"
    out = python(code, small, INT8RT_CACHE_DIR=tmp_path)
    assert " kernels compiled in " in out
    assert str(tmp_path) in out
    assert python(code, small, INT8RT_CACHE_DIR=tmp_path).startswith("nothing to compile; ")
    assert "\n0.0 MiB of other versions removed\n" in python(code, small, "--prune", INT8RT_CACHE_DIR=tmp_path)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a place of Linux that cannot be written")
def test_a_cache_that_cannot_be_written(python):
    code = "import sys; from int8rt.tools.cli import main; sys.stderr = sys.stdout; main(['warmup'])"
    assert "cannot be written" in python(code, check=False, INT8RT_CACHE_DIR="/proc/int8rt")

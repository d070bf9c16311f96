"""All interleavings of threads that share an array: kernels' own source, run step by step in every order.

Kernels are Python before Numba compiles them. ``stepwise`` makes generators of functions, which stop before everything
that other threads could notice: atomic operations, elements of the shared array. What is done with semaphores are steps
that a test's own functions yield. ``explore`` then tries at each step every thread that can go on, and remembers the
states that it has seen, so that it ends.

Steps are taken one after another, as sequentially consistent operations are. Plain loads and stores of the code lie
between such operations, which order them on every CPU.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Generator, Iterable
from types import CodeType
from typing import Any

Thread = Generator[tuple[Any, ...], Any, None]
STEPS = ("atomic_add", "atomic_load", "atomic_swap")  # functions of the shared array that are one step


class Violation(AssertionError):
    """What may not happen does, in some order of steps."""


@functools.cache
def stepwise(source: str, names: tuple[str, ...], shared: str) -> CodeType:
    """Code that defines a module's functions as generators, which call one another.

    names: these functions, and what they find as generators when the code has run. shared: the name of the parameter
    that is the shared array.
    """
    functions = [n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef) and n.name in names]
    for function in functions:
        function.decorator_list, function.returns = [], None
        for argument in function.args.args:
            argument.annotation = None
        _Stepwise(set(names), shared).visit(function)
    return compile(ast.fix_missing_locations(ast.Module(functions, [])), "<stepwise>", "exec")


class _Stepwise(ast.NodeTransformer):
    def __init__(self, generators: set[str], shared: str) -> None:
        self.generators, self.shared = generators, shared

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name in STEPS:
            return _step(name, *node.args[1:])
        return ast.YieldFrom(node) if name in self.generators else node

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        self.generic_visit(node)
        return _step("load", node.slice) if self._is_shared(node) and isinstance(node.ctx, ast.Load) else node

    def visit_Assign(self, node: ast.Assign) -> ast.stmt:
        self.generic_visit(node)
        (target,) = node.targets
        if isinstance(target, ast.Subscript) and self._is_shared(target):
            return ast.Expr(_step("store", target.slice, node.value))
        return node

    def _is_shared(self, node: ast.Subscript) -> bool:
        return isinstance(node.value, ast.Name) and node.value.id == self.shared


def _step(name: str, *args: ast.expr) -> ast.expr:
    return ast.Yield(ast.Tuple([ast.Constant(name), *args], ast.Load()))


class World:
    """Threads in the middle of their work, and what they share: memory, and semaphores by number.

    ``own`` says which elements of the array one thread alone uses: they need no steps. Subclasses watch: ``watch`` gets
    the steps that this class does not know (of which one named "note" takes no step), ``check`` is called before each
    step of a thread, ``watched`` is what they remember.
    """

    def __init__(self, size: int, semaphores: int, own: Callable[[int], bool]) -> None:
        self.memory, self.permits, self.own = [0] * size, [0] * semaphores, own
        self.threads: list[Thread] = []
        self.pending: list[tuple[Any, ...] | None] = []  # each thread's next step; None where it has ended
        self.running = 0  # the number of the thread that runs

    def add(self, thread: Thread) -> None:
        """Let another thread begin."""
        self.threads.append(thread)
        self.pending.append(None)
        self._advance(len(self.threads) - 1, None)

    def enabled(self) -> list[int]:
        """The threads that can go on."""
        return [
            t for t, step in enumerate(self.pending)
            if step is not None and (step[0] != "acquire" or self.permits[step[1]])
        ]  # fmt: skip

    def step(self, thread: int) -> None:
        """Let a thread do its next step, and run up to the one behind it."""
        self.running = thread
        self.check()
        step = self.pending[thread]
        assert step is not None
        self._advance(thread, self._perform(*step))

    def _advance(self, thread: int, result: Any) -> None:
        self.running = thread
        try:
            step = self.threads[thread].send(result)
            while step[0] == "note" or (step[0] in ("load", "store") and self.own(step[1])):
                step = self.threads[thread].send(self._perform(*step))
            self.pending[thread] = step
        except StopIteration:
            self.pending[thread] = None

    def _perform(self, name: str, *args: Any) -> Any:
        if name == "acquire":
            self.permits[args[0]] -= 1
            return None
        if name == "release":
            self.permits[args[0]] += 1
            return None
        if name not in ("load", "store", *STEPS):
            return self.watch(name, *args)
        at, *value = args
        before = self.memory[at]
        if value:
            self.memory[at] = before + value[0] if name == "atomic_add" else value[0]
        return before

    def watch(self, name: str, *args: Any) -> Any:
        """Watch a step that subclasses have made."""

    def check(self) -> None:
        """Raise Violation where something is wrong."""

    def watched(self) -> Any:
        """What decides what ``check`` and ``watch`` find later."""

    def state(self) -> Any:
        """All that decides what can happen from here on."""
        return (
            tuple(self.memory),
            tuple(self.permits),
            self.watched(),
            tuple(map(_position, self.threads)),
            _value(tuple(self.pending)),
        )


def _position(thread: Any) -> tuple[Any, ...]:
    """Where a generator and those that it waits for stand, with their variables."""
    found = []
    while thread is not None and thread.gi_frame is not None:
        variables = tuple((name, _value(v)) for name, v in thread.gi_frame.f_locals.items() if name not in COUNTERS)
        found.append((thread.gi_code.co_name, thread.gi_frame.f_lasti, variables))
        thread = thread.gi_yieldfrom
    return tuple(found)


COUNTERS = ("waited",)  # variables that count without end while nothing changes


def _value(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_value, value))
    return value if isinstance(value, (int, str)) else getattr(value, "key", None)


def explore(make: Callable[[], World]) -> int:
    """Run every interleaving; gives the number of states. Raises Violation where threads can get stuck, too.

    They are stuck where no order of further steps lets all of them end, so spinning in vain counts as well.
    """
    seen: dict[Any, int] = {}
    before: list[list[int]] = []  # from which states each is reached
    ends: list[int] = []
    waiting: list[Any] = [(None, None)]  # paths from the beginning, and the state before their last step
    while waiting:
        path, last = waiting.pop()
        world = _replayed(make, path)
        while True:
            state = world.state()
            is_new = state not in seen
            number = seen.setdefault(state, len(seen))
            if is_new:
                before.append([])
            if last is not None:
                before[number].append(last)
            threads = world.enabled() if is_new else []
            if is_new and all(step is None for step in world.pending):
                ends.append(number)
            if not threads:
                break
            waiting += [((path, t), number) for t in threads[1:]]
            path, last = (path, threads[0]), number
            world.step(threads[0])
    if len(_reached(ends, before)) < len(seen):
        raise Violation("threads can get stuck")
    return len(seen)


def _replayed(make: Callable[[], World], path: Any) -> World:
    """The world at the end of a path: (the path before, the thread of its last step), or None for the beginning."""
    threads = []
    while path is not None:
        path, thread = path
        threads.append(thread)
    world = make()
    for thread in reversed(threads):
        world.step(thread)
    return world


def _reached(starts: Iterable[int], edges: list[list[int]]) -> set[int]:
    found, waiting = set(starts), list(starts)
    while waiting:
        new = set(edges[waiting.pop()]) - found
        found |= new
        waiting += new
    return found

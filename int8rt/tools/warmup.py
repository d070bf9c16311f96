"""The cache of compiled code: filling it ahead of time, what it holds, and emptying it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from int8rt.errors import Error, InputError
from int8rt.native import files
from int8rt.native.cache import cache_folder, contents, notes, other_folders, recorded
from int8rt.native.entries import Progress, is_cached
from int8rt.native.helpers import Job, compile_all, is_writable
from int8rt.native.kernel import find_kernel
from int8rt.runtime.model import load, random_inputs


def check_cache() -> None:
    """Raises InputError where compiled code cannot be kept."""
    if not is_writable():
        raise InputError(f"{cache_folder()} cannot be written: INT8RT_CACHE_DIR may name another folder")


def entries() -> int:
    """How many compiled kernels this version has in the cache, for this CPU."""
    return sum(1 for _ in cache_folder().glob("*.o"))


def prepare(path: Path, progress: Progress | None = None) -> None:
    """Compile what a model needs on one thread or several.

    It runs once on random data, since some models need kernels that depend on values.
    """
    model = load(path, threads=2, progress=progress)
    with contextlib.suppress(Error):  # random indices and shapes need not fit
        model(*random_inputs(model.graph.main))


def renew(progress: Progress | None = None) -> int:
    """Compile what other versions had compiled, or this one for other CPUs; how many kernels this version lacks."""
    wanted = sorted(set().union(*map(recorded, other_folders())))
    found = [(find_kernel(recipe), signature) for recipe, signature in wanted]
    jobs: list[Job] = [(kernel, signature) for kernel, signature in found if kernel is not None]
    compile_all(jobs, progress, lenient=True)
    return len(wanted) - sum(is_cached(kernel, signature) for kernel, signature in jobs)


def prune() -> int:
    """Remove what other versions compiled, or this one for other CPUs; how many bytes that gives back."""
    return _remove(other_folders())


def state() -> dict[str, Any]:
    """What is kept, and where: the base folder, whether and why it is not used, files and bytes of it all and of us."""
    base = Path(files.cache_base())
    try:
        distrusted = files.why_not(str(base))
    except OSError:  # nothing is there yet
        distrusted = None
    ours = [p.lstat().st_size for p in contents(cache_folder())]
    others = [p.lstat().st_size for folder in other_folders() for p in contents(folder)]
    sizes = [*ours, *others, *(p.lstat().st_size for p in notes())]
    return {
        "folder": str(base),
        "on": files.is_on(),
        "distrusted": distrusted,
        "files": len(sizes),
        "bytes": sum(sizes),
        "of_this_version": {"folder": str(cache_folder()), "kernels": len(ours), "bytes": sum(ours)},
        "other_versions": len(other_folders()),
    }


def clear() -> int:
    """Remove everything that is kept, of all versions; how many bytes that gives back.

    Processes that run do not notice: their code is in memory.
    """
    found = notes()
    size = sum(p.lstat().st_size for p in found)
    for p in found:
        p.unlink(missing_ok=True)
    return size + _remove([*other_folders(), cache_folder()])


def _remove(folders: Sequence[Path]) -> int:
    """Remove folders; how many bytes their files had."""
    size = sum(p.lstat().st_size for folder in folders for p in contents(folder))
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    return size

"""VAR_HANDLE: which resource is meant, by container and name; known before any run."""

from __future__ import annotations

from typing import NoReturn

import numpy as np

from int8rt import ops
from int8rt.graph import Node
from int8rt.ops import Name

operands = "-> handle"


def shapes(node: Node) -> list[tuple[int, ...]]:
    if node.outputs[0].type != "resource":
        raise ops.refuse(node, f"a handle of type {node.outputs[0].type} is not supported")
    return [()]


def constant(node: Node) -> list[np.ndarray]:
    return [reference(node)]


def reference(node: Node) -> np.ndarray:
    handle = np.empty((), object)
    handle[()] = Name(node.options.container or "", node.options.shared_name or "")
    return handle


def prepare(node: Node, numerics: object) -> NoReturn:
    raise AssertionError("VAR_HANDLE is always known before a program is built")

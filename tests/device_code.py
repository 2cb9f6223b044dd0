"""What code on tensors does that a device would be asked or left out for, found in its syntax."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

MAKERS = {
    *("tensor", "as_tensor", "zeros", "ones", "empty", "full", "arange", "eye"),
    *("rand", "randn", "randint", "linspace"),
}
"""Functions of torch that make a tensor, on the CPU unless they are told a device."""
READS = frozenset(["item", "cpu", "tolist", "numpy", "nonzero"])
"""Methods that wait for a device and copy to the host; the shape of `nonzero` depends on values."""
PLAIN = frozenset(("bool", "int", "float"))
"""The same, of what a reduction of a tensor gives."""
REDUCTIONS = frozenset(["any", "all", "max", "min", "sum", "mean", "argmax", "argmin", "amax", "amin"])
LOOPS = (ast.For, ast.While)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def problems(source: str, everywhere: bool = False) -> Iterator[tuple[str, str]]:
    """(function, problem) of each tensor made without a device, and of each read of the host within a loop.

    Args:
        source: Python.
        everywhere: Reads count outside of loops too: the code runs within the loops of others.
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        for child in ast.iter_child_nodes(node):
            child.parent = node  # type: ignore[attr-defined]
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if unplaced := _unplaced(node):
            yield _function(node), f"line {node.lineno}: {unplaced} without device"
        if (everywhere or _is_repeated(node)) and (read := _read(node)):
            yield _function(node), f"line {node.lineno}: {read} within a loop"


def of_package(folder: Path, everywhere: frozenset[str]) -> Iterator[tuple[str, str, str]]:
    """(file, function, problem) of all files of a folder, by names relative to its parent."""
    for path in sorted(folder.rglob("*.py")):
        name = str(path.relative_to(folder.parent))
        for function, problem in problems(path.read_text(encoding="utf-8"), name in everywhere):
            yield name, function, problem


def _unplaced(call: ast.Call) -> str:
    """Name of a call that makes a tensor where nobody said, empty for another."""
    named = {keyword.arg for keyword in call.keywords}
    function = call.func
    if isinstance(function, ast.Name) and function.id == "pad_ids":
        return "" if len(call.args) > 2 or "device" in named else "pad_ids"
    if not (isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name)):
        return ""
    if function.value.id != "torch":
        return ""
    if function.attr == "from_numpy":
        parent = call.parent  # type: ignore[attr-defined]
        return "" if isinstance(parent, ast.Attribute) and parent.attr == "to" else "torch.from_numpy"
    return f"torch.{function.attr}" if function.attr in MAKERS and "device" not in named else ""


def _read(call: ast.Call) -> str:
    """What a call reads, empty for another."""
    function = call.func
    if isinstance(function, ast.Attribute) and function.attr in READS:
        return f".{function.attr}()"
    if isinstance(function, ast.Name) and function.id in PLAIN and call.args:
        inside = call.args[0]
        if isinstance(inside, ast.Call) and isinstance(inside.func, ast.Attribute) and inside.func.attr in REDUCTIONS:
            return f"{function.id}(….{inside.func.attr}())"
    return ""


def _is_repeated(node: ast.AST) -> bool:
    """Whether a node is within a loop or comprehension of its function; what these go through is read once."""
    while (parent := getattr(node, "parent", None)) is not None:
        if isinstance(parent, ast.FunctionDef | ast.Lambda | ast.ClassDef):
            return False
        if isinstance(parent, LOOPS) and node is not getattr(parent, "iter", None):
            return True
        if isinstance(parent, COMPREHENSIONS) and node is not parent.generators[0]:
            return True
        if isinstance(parent, ast.comprehension) and node is not parent.iter:
            return True
        node = parent
    return False


def _function(node: ast.AST) -> str:
    while (parent := getattr(node, "parent", None)) is not None:
        if isinstance(parent, ast.FunctionDef):
            return parent.name
        node = parent
    return ""

"""Checks that public names use the glossary's words and that docstrings do not begin with 'Of'."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FORBIDDEN = {
    **dict.fromkeys(("doc", "docs", "ctx", "ctxs", "psg", "psgs", "chunk", "chunks", "context", "contexts"), "passage"),
    **dict.fromkeys(("said", "told", "marked"), "verb and object for a function, a noun for a value"),
}
"""Word -> what to write instead."""
ALLOWED = {
    "n_docs": "the field's name",
    "doc_scores": "the field's name",
    "doc_log_probs": "the field's name",
}
"""Allowed combinations of words in names -> reason."""
NO_NOUN = re.compile(r"(of|the same (as )?of)\b", re.IGNORECASE)
ENTRY = re.compile(r"\s+\*{0,2}\w+(?:, \*{0,2}\w+)*: ")
"""The name at the beginning of an entry of Args."""
Function = ast.FunctionDef | ast.AsyncFunctionDef
Name = tuple[int, str, str]
"""Line, kind of name, name."""


def main() -> int:
    """Print every problem; 1 if there is one."""
    problems = list(words(ROOT))
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"check_words: {len(problems)} problems")
    return 1 if problems else 0


def words(root: Path) -> Iterator[str]:
    """`file:line: problem` for every public name and docstring of the package."""
    for path in sorted((root / "rag_lightning").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found = [(line, _forbidden(kind, name)) for line, kind, name in ((1, "module", path.stem), *public_names(tree))]
        found += [(line, f"begins without a noun: {text!r}") for line, text in texts(tree) if NO_NOUN.match(text)]
        yield from (f"{path.relative_to(root)}:{line}: {problem}" for line, problem in sorted(found) if problem)


def _forbidden(kind: str, name: str) -> str:
    """The problem of a name, empty if it has none."""
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().replace("-", "_")
    parts = re.sub(rf"(?<![a-z0-9])({'|'.join(ALLOWED)})(?![a-z0-9])", "", plain).split("_")
    bad = [part for part in parts if part in FORBIDDEN]
    return f"{kind} {name}: not {bad[0]!r} but {FORBIDDEN[bad[0]]}" if bad else ""


def public_names(tree: ast.Module | ast.ClassDef) -> Iterator[Name]:
    """Functions, classes, methods, parameters, fields and constants without a leading underscore, and CLI options."""
    inside = "field" if isinstance(tree, ast.ClassDef) else "constant"
    for node in tree.body:
        if isinstance(node, Function | ast.ClassDef):
            if node.name.startswith("_") and node.name != "__init__":
                continue
            yield node.lineno, "class" if isinstance(node, ast.ClassDef) else "function", node.name
            yield from public_names(node) if isinstance(node, ast.ClassDef) else _parameters(node)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            yield from ((node.lineno, inside, name) for name in names if not name.startswith("_"))
    if isinstance(tree, ast.Module):
        strings = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
        options = [
            (node.lineno, str(node.value)) for node in strings if re.fullmatch(r"--[a-z][\w-]*", str(node.value))
        ]
        yield from ((line, "option", name) for line, name in options)


def _parameters(node: Function) -> Iterator[Name]:
    given = node.args
    extra = [found for found in (given.vararg, given.kwarg) if found is not None]
    for parameter in (*given.posonlyargs, *given.args, *given.kwonlyargs, *extra):
        if not parameter.arg.startswith("_"):
            yield parameter.lineno, "parameter", parameter.arg


def texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, text) of the beginning of every docstring and of every entry of its Args."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            for number, line in enumerate(node.value.value.splitlines()):
                if number == 0:
                    yield node.lineno, line.strip()
                elif head := ENTRY.match(line):
                    yield node.lineno + number, line[head.end() :].strip()


if __name__ == "__main__":
    sys.exit(main())

"""Checks no linter makes: config files load, documented commands exist, files and functions stay short."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Container, Iterator
from pathlib import Path

import yaml

from rag_lightning.bench.command import read_bill
from rag_lightning.claims.claims import load_claims
from rag_lightning.cli import parse
from rag_lightning.commands import COMMANDS
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.fields import leaves, sections_of
from rag_lightning.core.errors import ConfigError, RagLightningError
from rag_lightning.matrix.matrix import load_matrix

ROOT = Path(__file__).resolve().parent.parent
HEADER = ("Reproduces:", "Command:", "Cost:", "Expected:")
DOCUMENTS = ("*.md", "docs/**/*.md", "experiments/*.md", "sweeps/*.md", "reports/*.md", "rag_lightning/**/*.md")
TABLES = ("matrix", "claims", "index_bench")
"""Files of experiments/ that are not experiments."""
FIELD = re.compile(r"(?<![\w./-])(--)?(?:experiment\.)?([a-z_0-9]+)\.([a-z_0-9]+)(?![\w/(])")
"""`--section.field`, `section.field` or a sweep's `experiment.section.field`."""
FENCED = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
FILE_LINES, FUNCTION_LINES = 300, 50


def main() -> int:
    """Print every problem; 1 if there is one."""
    problems = [*configs(ROOT), *reports(ROOT), *documents(ROOT), *sizes(ROOT)]
    for problem in problems:
        print(problem, file=sys.stderr)
    files = [*(ROOT / "experiments").glob("*.yaml"), *(ROOT / "sweeps").glob("*.yaml")]
    print(f"check_project: {len(files)} configurations, {len(problems)} problems")
    return 1 if problems else 0


def configs(root: Path) -> Iterator[str]:
    """Problems of experiments and sweeps: they must parse, have the name of their file, and a header."""
    for folder, stage in (("experiments", "score"), ("sweeps", "sweep")):
        for path in sorted((root / folder).glob("*.y*ml")):
            shown = path.relative_to(root)
            header = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
            yield from (f"{shown}: no line '# {word}'" for word in HEADER if not any(word in line for line in header))
            if path.stem in TABLES:
                yield from table_of(root, path.stem)
                continue
            try:
                parsed = parse(stage, ["--config", str(path)])
            except ConfigError as error:
                yield str(error)
                continue
            name = getattr(parsed[0], "name", "") if parsed else path.stem
            if name != path.stem:
                yield f"{shown}: name is {name!r}, the file is {path.stem!r}"


def table_of(root: Path, name: str) -> Iterator[str]:
    """Problems of the other files: cells must be experiments, claims must name cells, indexes must be kinds."""
    folder = root / "experiments"
    try:
        if name == "index_bench":
            read_bill(folder / "index_bench.yaml")
            return
        matrix = load_matrix(folder / "matrix.yaml")
        if name == "claims":
            load_claims(folder / "claims.yaml", matrix)
            return
        for scale in matrix.scales:
            for cell in matrix.cells(scale):
                if not cell.skip:
                    cell.experiment(seed=0)
    except RagLightningError as error:
        yield str(error)


def reports(root: Path) -> Iterator[str]:
    """Files in reports/ that are not valid YAML."""
    for path in sorted((root / "reports").glob("*.y*ml")):
        try:
            yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            yield f"{path.relative_to(root)}: {' '.join(str(error).split())}"


def documents(root: Path) -> Iterator[str]:
    """Each `make X`, `rag-lightning X`, `--config F`, `section.field` and link of a document that does not exist."""
    targets = set(re.findall(r"^([a-z][a-z-]*):", (root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for path in markdown_files(root):
        text, shown = path.read_text(encoding="utf-8"), path.relative_to(root)
        for code in code_of(text):
            yield from (f"{shown}: {problem}" for problem in commands(root, code, targets))
        yield from (f"{shown}: {problem}" for problem in links(path, text))


def markdown_files(root: Path) -> list[Path]:
    """All Markdown documents of the project."""
    return sorted({path for pattern in DOCUMENTS for path in root.glob(pattern)})


def commands(root: Path, code: str, targets: Container[str]) -> Iterator[str]:
    """Commands, files and fields in a piece of code that do not exist."""
    for target in re.findall(r"(?:^|\s)make ([a-z][a-z-]*)", code):
        if target not in targets:
            yield f"`make {target}` does not exist"
    for command in re.findall(r"(?:^|\s)rag-lightning ([a-z][a-z0-9_-]*)", code):
        if command not in {*COMMANDS, "help"}:
            yield f"`rag-lightning {command}` does not exist"
    for section in re.findall(r"rag-lightning help ([a-z_]+)", code):
        if section not in sections_of(ExperimentConfig):
            yield f"section {section} of `rag-lightning help` does not exist"
    for file in re.findall(r"--config ((?:experiments|sweeps)/\S+)", code):
        if not (root / file).exists():
            yield f"{file} does not exist"
    yield from unknown_fields(code)


def unknown_fields(code: str) -> Iterator[str]:
    """Fields in a piece of code that are not fields of the configuration."""
    setting = re.fullmatch(r"[a-z_0-9]+\.[a-z_0-9]+ \S+", code)
    for option, section, field in FIELD.findall(code):
        if section in SECTIONS:
            if field not in SECTIONS[section] and field not in SUFFIXES:
                yield f"{section}.{field} is not a field of the configuration"
        elif section not in ("experiment", "section") and (option or (setting and field not in SUFFIXES)):
            yield f"{section}.{field}: the configuration has no section {section}"


def sections() -> dict[str, set[str]]:
    """Section of the configuration -> names of its fields."""
    found: dict[str, set[str]] = {}
    for leaf in leaves(ExperimentConfig):
        section, _, field = leaf.path.rpartition(".")
        if section:
            found.setdefault(section, set()).add(field)
    return found


SECTIONS = sections()
SUFFIXES = {"csv", "gz", "html", "json", "jsonl", "md", "py", "tsv", "yaml"}
"""Extensions of files whose name may begin like a section (train.jsonl)."""


def links(path: Path, text: str) -> Iterator[str]:
    """Relative links whose file or heading does not exist."""
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(text)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = path.parent / name if name else path
        if not file.exists():
            yield f"link {target}: no such file"
        elif anchor and (file.suffix != ".md" or anchor not in anchors(file.read_text(encoding="utf-8"))):
            yield f"link {target}: no such heading"


def anchors(text: str) -> set[str]:
    """GitHub's anchors of the headings: lower case, no punctuation, hyphens for spaces, repetitions numbered."""
    found: dict[str, int] = {}
    for heading in re.findall(r"^#+ +(.+?)\s*$", FENCED.sub("", text), re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        found[slug] = found.get(slug, -1) + 1
        if found[slug]:
            found[f"{slug}-{found[slug]}"] = 0
    return set(found)


def code_of(text: str) -> list[str]:
    """Fenced blocks and inline code of a Markdown text."""
    return FENCED.findall(text) + re.findall(r"`([^`\n]+)`", FENCED.sub("", text))


def without_code(text: str) -> str:
    """A Markdown text without its code."""
    return re.sub(r"`[^`\n]+`", "", FENCED.sub("", text))


def sizes(root: Path) -> Iterator[str]:
    """Files of more than 300 lines and functions of more than 50."""
    for path in sorted((root / "rag_lightning").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        shown = path.relative_to(root)
        if len(text.splitlines()) > FILE_LINES:
            yield f"{shown}: {len(text.splitlines())} lines, {FILE_LINES} at most"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES:
                    yield f"{shown}, line {node.lineno}: {node.name} has {lines} lines, {FUNCTION_LINES} at most"


if __name__ == "__main__":
    sys.exit(main())

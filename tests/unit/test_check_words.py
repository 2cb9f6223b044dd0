"""The check of words finds what it is there for, and nothing else."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "check_words.py"


@pytest.fixture(scope="module")
def check() -> ModuleType:
    spec = spec_from_file_location("check_words", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def problems(check: ModuleType, root: Path, code: str, name: str = "some") -> list[str]:
    """What is found in one module, without the module's path."""
    path = root / "rag_lightning" / f"{name}.py"
    path.parent.mkdir()
    path.write_text(code)
    found = list(check.words(root))
    assert all(problem.startswith(f"rag_lightning/{name}.py:") for problem in found)
    return [problem.partition(".py:")[2] for problem in found]


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("def read_docs(): ...", "1: function read_docs: not 'docs' but passage"),
        ("async def x(a, *, ctxs): ...", "1: parameter ctxs: not 'ctxs'"),
        ("def x(\n    a,\n    **psg,\n): ...", "3: parameter psg: not 'psg'"),
        ("class DocStore: ...", "1: class DocStore: not 'doc'"),
        ("class A:\n    b: int\n    told: str", "3: field told: not 'told' but verb and object"),
        ("class A:\n    def said(self): ...", "2: function said: not 'said'"),
        ("class A:\n    def __init__(self, context): ...", "2: parameter context: not 'context'"),
        ("def docs_doc_scores(): ...", "1: function docs_doc_scores: not 'docs'"),
        ("CHUNK_SIZE = 1", "1: constant CHUNK_SIZE: not 'chunk'"),
        ("x = [Extra('--max-docs', 'help')]", "1: option --max-docs: not 'docs'"),
        ('def f():\n    """Of a row."""', "2: begins without a noun: 'Of a row.'"),
        ('x = 1\n"""The same of y."""', "2: begins without a noun"),
        (
            'def f(a, b):\n    """Does it.\n\n    Args:\n        a: Fine.\n        b, *c: The same as of a.\n    """',
            "6: begins without a noun: 'The same as of a.'",
        ),
    ],
)
def test_each_is_found_once_with_its_line(check: ModuleType, tmp_path: Path, code: str, problem: str) -> None:
    (found,) = problems(check, tmp_path, code)
    assert found.startswith(problem)


def test_the_module_s_own_name_counts(check: ModuleType, tmp_path: Path) -> None:
    assert problems(check, tmp_path, "", "read_ctx") == ["1: module read_ctx: not 'ctx' but passage"]


@pytest.mark.parametrize(
    "code",
    [
        "def check_doc_scores(n_docs, max_n_docs, doc_log_probs): ...",
        "def chunking(document, docstring): ...",
        "def _docs(ctx): ...",
        "class _Docs:\n    ctx: int",
        "def f():\n    docs = 1\n    def ctx(psg): ...",
        'def f():\n    """Often of use.\n\n    Args:\n        a: Offset of a row.\n    """',
        "x = 'the --docs of docs'",
    ],
)
def test_anything_else_is_left_alone(check: ModuleType, tmp_path: Path, code: str) -> None:
    assert not problems(check, tmp_path, code)

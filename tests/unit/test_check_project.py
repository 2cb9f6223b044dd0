"""The checks of .ci/check_project.py find every kind of problem."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "check_project.py"
HEADER = "# Reproduces: x\n# Command: x\n# Cost: x\n# Expected: x\n"


@pytest.fixture(scope="module")
def check() -> ModuleType:
    spec = spec_from_file_location("check_project", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEADER + "name: cell\n", None),
        (HEADER + "name: other\n", "name is 'other'"),
        (HEADER + "name: cell\nsed: 1\n", "unknown key 'sed'"),
        ("# Command: x\n# Cost: x\n# Expected: x\nname: cell\n", "no line '# Reproduces:'"),
    ],
)
def test_configurations_are_loaded(check: ModuleType, tmp_path: Path, text: str, said: str | None) -> None:
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "cell.yaml").write_text(text)
    found = list(check.configs(tmp_path))
    assert len(found) == (said is not None)
    assert said is None or said in found[0]


def test_documented_commands_must_exist(check: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text("sweep: x\n\techo\n")
    (tmp_path / "README.md").write_text(
        "We make sure. `make sweep TASK=nq`, `make swep`.\n\n```\nrag-lightning ask x\nrag-lightning aks x\n"
        "rag-lightning score --config experiments/gone.yaml\nrag-lightning help index\nrag-lightning help indx\n```\n"
    )
    assert sorted(check.documents(tmp_path)) == [
        "README.md: `make swep` does not exist",
        "README.md: `rag-lightning aks` does not exist",
        "README.md: experiments/gone.yaml does not exist",
        "README.md: section indx of `rag-lightning help` does not exist",
    ]


def test_documented_fields_must_exist(check: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text("")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "page.md").write_text(
        "`--decoding.k 5`, `decoding.gone 5`, `experiment.index.kinds`, `train.jsonl`, `retriever.train false`, x.y,\n"
        "decoding.lost outside of code, `artifacts/index/index.faiss`, `corpus.build(workspace)`.\n"
        "`decode.k 5`, `--experiment.decode.steps 1`, `--experiment.scale mini`, `a.py 1`, `other.thing`\n"
    )
    assert sorted(check.documents(tmp_path)) == [
        "docs/page.md: decode.k: the configuration has no section decode",
        "docs/page.md: decode.steps: the configuration has no section decode",
        "docs/page.md: decoding.gone is not a field of the configuration",
        "docs/page.md: index.kinds is not a field of the configuration",
    ]


def test_relative_links_must_lead_somewhere(check: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text("")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "page.md").write_text(
        "# The `k` of it: all\n## Twice\n## Twice\n```\n# no heading\n[no link](no.md)\n```\n"
        "[up](../README.md) [here](#the-k-of-it-all) [second](#twice-1) [third](#twice-2) [web](https://a.b/c.md)\n"
    )
    (tmp_path / "README.md").write_text("[a](docs/page.md#twice) [b](docs/page.md#no-heading) ![c](docs/gone.png)\n")
    assert sorted(check.documents(tmp_path)) == [
        "README.md: link docs/gone.png: no such file",
        "README.md: link docs/page.md#no-heading: no such heading",
        "docs/page.md: link #twice-2: no such heading",
    ]


def test_long_files_and_functions_are_found(check: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "rag_lightning").mkdir()
    body = "".join(f"    x = {i}\n" for i in range(50))
    (tmp_path / "rag_lightning" / "long.py").write_text("def f():\n" + body + "\n" * 300)
    assert [problem.split(": ")[1] for problem in check.sizes(tmp_path)] == [
        "351 lines, 300 at most",
        "f has 51 lines, 50 at most",
    ]


def test_a_report_file_must_be_yaml(check: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "paper.yaml").write_text("a: [1\n")
    assert len(list(check.reports(tmp_path))) == 1

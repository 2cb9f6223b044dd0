"""Commands that are recorded instead of run."""

import pytest

from rag_lightning import cli
from tests.run_folders import Called


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> Called:
    """Record the arguments of every command instead of running it."""
    calls: Called = []
    monkeypatch.setattr(cli, "load", lambda target: lambda *arguments: calls.append((target, *arguments)))
    return calls

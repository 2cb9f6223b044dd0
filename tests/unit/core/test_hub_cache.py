"""Where the hub must not be asked, the commit that was fetched stands for a revision."""

from dataclasses import replace
from pathlib import Path

import pytest

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core import hub
from rag_lightning.core.errors import AssetError, ConfigError
from rag_lightning.stages import train, workspace


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that holds one model, and no hub."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub, "hub_reachable", lambda timeout=1.5: False)
    reference = tmp_path / "models--someone--bart" / "refs" / hub.HUB_REVISION
    reference.parent.mkdir(parents=True)
    reference.write_text("abc123\n")
    return tmp_path


def test_what_was_fetched_is_found(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert hub.resolve_commit("someone/bart", "model") == "abc123"
    assert hub.cached_commit("someone/bart", "dataset") is None
    with pytest.raises(
        AssetError, match=r"cannot be reached.*; give a folder that holds it, or run it once with a net"
    ):
        hub.resolve_commit("someone/other", "model")
    with pytest.raises(AssetError, match=r"cannot be reached.*; scale 'paper' needs about"):
        hub.resolve_commit("facebook/bart-large", "model")


@pytest.mark.parametrize("value", ["", "0", "no"])
def test_the_hub_is_asked_where_it_may_be(value: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    with pytest.raises(AssetError, match="cannot be reached"):
        hub.resolve_commit("someone/bart", "model")


def test_a_model_is_downloaded_when_its_commit_is_in_the_cache(cache: Path) -> None:
    assert hub.downloaded_model("someone/bart", "abc123") is None
    snapshot = cache / "models--someone--bart" / "snapshots" / "abc123"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    assert hub.downloaded_model("someone/bart", "abc123") == snapshot
    assert hub.downloaded_model("someone/bart", "def456") is None


def test_digests_need_the_commit_of_a_hub_model_but_not_its_files(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    workspace._commit.cache_clear()
    config = ExperimentConfig(folder=str(tmp_path / "project"))
    named = replace(config, encoder=replace(config.encoder, model="someone/bart"))
    assert train.STAGE.digest(workspace.Workspace(named)) != train.STAGE.digest(workspace.Workspace(config))
    started = workspace.Workspace(replace(config, init_from="hub:someone/bart"))
    with pytest.raises(ConfigError, match="init_from=hub:someone/bart: is neither a folder nor the digest of a model"):
        train.STAGE.digest(started)
    assert not (tmp_path / "project").exists()


@pytest.mark.parametrize(
    "name", ["/data/bart", "./bart", "../bart", "~/bart", "a/b/c", "vectors-384.npy", "x/corpus.tsv"]
)
def test_a_path_is_no_name_on_the_hub(name: str, cache: Path) -> None:
    with pytest.raises(AssetError, match=r"no such folder, and no OWNER/NAME on the hub; check the path$"):
        hub.resolve_commit(name, "model")


def test_a_file_is_no_model(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AssetError, match="is a file; expected a folder, or OWNER/NAME"):
        hub.resolve_commit(str(tmp_path / "file"), "model")

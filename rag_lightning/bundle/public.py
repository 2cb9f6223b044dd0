"""What may leave a machine: records without its paths, hosts and users; and who has to be named for a quoted text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from rag_lightning.config.registries import TASKS
from rag_lightning.core.assets import ASSETS
from rag_lightning.core.redact import redacted
from rag_lightning.report.tables import escape_markdown
from rag_lightning.tasks.spec import get_task

EMPTIED = ("tracking_uri", "storage")
"""Fields that name a server or a file of the machine."""
SOMEWHERE = "…/"
"""What stands in the place of the folders of a path."""
_ABSOLUTE = re.compile(r"(?:file://|sqlite:///)?~?/\S.*", re.DOTALL)
_QUOTED = re.compile(r"(?P<quote>[\"'])~?/[^\"']*/(?P<name>[^\"'/]*)(?P=quote)")
_BARE = re.compile(r"(?<![\w.…/:~-])~?/(?:[^\s\"'<>,;:]*/)?(?P<name>[^\s\"'<>,;:/]*)/?")
_SERVER = re.compile(r"(?P<head>--[\w.]*(?:" + "|".join(EMPTIED) + r")(?:=|\s+))(?:'[^']*'|\S+)")
_URL = re.compile(r"\b(?!https?://)[a-z][\w+.-]*://[^\s\"'<>]*")


def publishable(value: Any) -> Any:
    """A plain value without passwords, absolute paths, servers and the name of the user.

    >>> publishable({"user": "ann", "storage": "postgresql://db/x", "dev": "/home/ann/my data/dev.csv"})
    {'user': None, 'storage': '', 'dev': '…/dev.csv'}
    >>> publishable("rag-lightning sweep --config sweeps/nq.yaml --name a/b --experiment.task.dev '/home/a b/d.csv'")
    "rag-lightning sweep --config sweeps/nq.yaml --name a/b --experiment.task.dev '…/d.csv'"
    >>> publishable("/opt/x/reader.ckpt: is missing; see https://a.b/c, or file:///home/ann")
    '…/reader.ckpt: is missing; see https://a.b/c, or …'
    """
    return _without_places(redacted(value))


def _without_places(value: Any) -> Any:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return {name: _field(str(name), one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_places(one) for one in value]
    return value


def _field(name: str, value: Any) -> Any:
    if name == "user":
        return None
    if name in EMPTIED and isinstance(value, str):
        return ""
    if name == "folder" and isinstance(value, str):
        return "."
    if isinstance(value, str) and _ABSOLUTE.fullmatch(value) and ": " not in value:
        return SOMEWHERE + value.rstrip("/").rpartition("/")[2]
    return _without_places(value)


def _text(text: str) -> str:
    if "/" not in text:
        return text
    text = _SERVER.sub(r"\g<head>…", text)
    text = _URL.sub("…", text)
    text = _QUOTED.sub(rf"\g<quote>{SOMEWHERE}\g<name>\g<quote>", text)
    return _BARE.sub(rf"{SOMEWHERE}\g<name>", text)


def attribution(configs: Iterable[Mapping[str, Any]]) -> str:
    """ATTRIBUTION.md: the sources of the quoted passages and questions, with their licences.

    Args:
        configs: Configurations of the runs of a bundle.
    """
    sections = dict.fromkeys(line for config in configs for line in (_corpus(config), _questions(config)))
    lead = (
        "# Sources of the texts in this bundle\n\n"
        "Passages (`passages/`) and questions with their answers (`questions/`) are from these sources, under their "
        "licences. Each passage names its article in `title`. Changes: they were cleaned and cut into passages of at "
        "most 100 words. Predictions and numbers were made by rag-lightning.\n"
    )
    return "\n".join([lead, *sections])


def _corpus(config: Mapping[str, Any]) -> str:
    source = str(config["corpus"]["source"])
    if source != "mini":
        return f"## Passages of {escape_markdown(source)}\n\n{_unknown('corpus')}"
    wiki, factbook = ASSETS["wiki"], ASSETS["factbook"]
    return (
        "## Passages of the mini corpus\n\n"
        f"- {wiki.description}: {wiki.licence}. © the contributors to Wikipedia; the history of the article "
        "`https://en.wikipedia.org/wiki/TITLE` names them. Licence: https://creativecommons.org/licenses/by-sa/4.0/. "
        "Whoever passes these passages on does so under the same licence.\n"
        f"- {factbook.description}: {factbook.licence}.\n"
    )


def _questions(config: Mapping[str, Any]) -> str:
    task = config["task"]
    head = f"## Questions of {escape_markdown(str(task['dataset']))}\n\n"
    own = any(task[name] for name in ("train", "dev", "test"))
    if config["corpus"]["source"] == "mini" and not own and not task["source"]:
        return f"{head}Made by rag-lightning from the texts of the mini corpus, under the licences of these.\n"
    if task["source"] and task["name"] in TASKS:
        spec = get_task(task["name"])
        return f"{head}{spec.citation}. Licence: {spec.licence}.\n"
    return f"{head}{_unknown('questions')}"


def _unknown(what: str) -> str:
    return f"From files of a user ({what}); their licence is not known here. Check it before you pass this bundle on.\n"

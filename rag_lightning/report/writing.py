"""Tables as files: table.md, table.csv of the first, and a self-contained page; every text is escaped where it goes."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

from rag_lightning.core.files import write_text
from rag_lightning.report.tables import Table, clean, escape_markdown, to_csv, to_html, to_markdown

STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:90rem;padding:0 1rem}"
    "table{border-collapse:collapse;font-size:13.5px}th,td{padding:6px 10px;border-bottom:1px solid #ccd;"
    "text-align:left;vertical-align:top}.num{text-align:right}.scroll{overflow-x:auto}.strong{font-weight:600}"
    ".notes{font-size:13px;color:#556}"
)
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def write_tables(folder: Path, title: str, tables: Sequence[Table]) -> Path:
    """Write the files, each whole or not at all; returns the path of table.md.

    Args:
        folder: Made if it is not there.
        title: Of the page.
        tables: At least one; the first is the CSV.
    """
    folder.mkdir(parents=True, exist_ok=True)
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f"<title>{html.escape(clean(title))}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{html.escape(clean(title))}</h1>\n"
    )
    texts = {
        "table.md": f"# {escape_markdown(title)}\n\n{to_markdown(tables)}",
        "table.csv": to_csv(tables[0]),
        "index.html": head + "\n".join(map(to_html, tables)) + "\n</body>\n</html>\n",
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    return folder / "table.md"

"""The report as one self-contained HTML page, for an auditor: no script, nothing loaded from elsewhere, no values."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

__all__ = ["page"]

Row = Mapping[str, Any]

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --high: #c0392b; --middle: #b9770e; --low: #5d6d7e }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2.5rem auto; padding: 0 1.5rem }
h1 { font-size: 1.7rem; margin: 0 } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem }
p.when { color: GrayText; margin: .2rem 0 1.6rem }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); gap: .8rem }
.tile { border: 1px solid var(--line); border-radius: .5rem; padding: .8rem 1rem }
.tile b { display: block; font-size: 1.6rem; line-height: 1.2 }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; padding: .4rem .6rem; vertical-align: top }
th { border-bottom: 2px solid var(--line); font-weight: 600 } td { border-bottom: 1px solid var(--soft) }
td.number { text-align: right; font-variant-numeric: tabular-nums }
.tag { border-radius: 1rem; padding: .05rem .55rem; border: 1px solid; font-size: .85em; white-space: nowrap }
.sure { color: var(--high) } .doubt { color: var(--middle) } .rejected { color: var(--low) }
code { font-size: .92em } .evidence { color: GrayText; font-size: .9em }
@media print { body { margin: 0; max-width: none } }
"""
SURE_MIN = 0.8


def page(findings: Sequence[Row], columns: Sequence[Row], made: datetime.datetime, lake: str = "") -> str:
    """The report.

    Args:
        findings: rows of `neurolake.pii_findings`.
        columns: rows of `neurolake.columns`.
        made: when.
        lake: what the lake is called.
    """
    live = [row for row in findings if row["status"] != "rejected"]
    title = f"Personal data in {escape(lake)}" if lake else "Personal data in this lake"
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
        f"<title>{title}</title><style>{_STYLE}</style></head><body>",
        f'<h1>{title}</h1><p class="when">Made on {made:%Y-%m-%d at %H:%M} UTC. It shows no value of any column.</p>',
        _tiles(live, findings, columns),
        _kinds(live),
        _columns(findings),
        _unscanned(columns),
        "</body></html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _tiles(live: Sequence[Row], findings: Sequence[Row], columns: Sequence[Row]) -> str:
    holding = {(row["table_name"], row["column_name"]) for row in live}
    doubtful = sum(row["status"] == "auto" and row["confidence"] < SURE_MIN for row in live)
    states = Counter(row["pii_status"] for row in columns)
    tiles = (
        (len(holding), "columns with personal data"),
        (len({row["table_name"] for row in live}), "tables that have such columns"),
        (len({row["entity"] for row in live}), "kinds of personal data"),
        (doubtful, "findings to review"),
        (sum(row["status"] == "confirmed" for row in findings), "confirmed by a person"),
        (states["unscanned"], f"of {len(columns)} columns not scanned"),
    )
    shown = "".join(f'<div class="tile"><b>{number:,}</b>{text}</div>' for number, text in tiles)
    return f'<div class="tiles">{shown}</div>'


def _kinds(live: Sequence[Row]) -> str:
    counts = Counter(row["entity"] for row in live)
    rows = "".join(
        f'<tr><td>{escape(entity)}</td><td class="number">{count}</td></tr>' for entity, count in counts.most_common()
    )
    return f"<h2>By kind</h2><table><tr><th>Kind</th><th>Columns</th></tr>{rows}</table>" if rows else ""


def _columns(findings: Sequence[Row]) -> str:
    if not findings:
        return "<h2>By column</h2><p>No personal data was found.</p>"
    rows = "".join(map(_finding, findings))
    heads = "".join(
        f"<th>{head}</th>" for head in ("Column", "Kind", "Status", "Confidence", "Share", "Cells", "Evidence")
    )
    return f"<h2>By column</h2><table><tr>{heads}</tr>{rows}</table>"


def _finding(row: Row) -> str:
    status = row["status"]
    sure = (
        "rejected"
        if status == "rejected"
        else "sure"
        if status == "confirmed" or row["confidence"] >= SURE_MIN
        else "doubt"
    )
    shown = "to review" if sure == "doubt" else status
    return (
        f"<tr><td><code>{escape(row['table_name'])}.{escape(row['column_name'])}</code></td>"
        f"<td>{escape(row['entity'])}</td><td><span class='tag {sure}'>{escape(shown)}</span></td>"
        f"<td class='number'>{row['confidence']:.2f}</td><td class='number'>{row['share']:.1%}</td>"
        f"<td class='number'>{row['sample_size']:,}</td>"
        f"<td class='evidence'>{escape(row['evidence'])}<br>{escape(row['detector'])}</td></tr>"
    )


def _unscanned(columns: Sequence[Row]) -> str:
    names = [f"{row['table_name']}.{row['column_name']}" for row in columns if row["pii_status"] == "unscanned"]
    if not names:
        return ""
    shown = ", ".join(f"<code>{escape(name)}</code>" for name in names[:200])
    more = f" and {len(names) - 200:,} more" if len(names) > 200 else ""
    why = (
        "Nobody has scanned them since they came to be as they are, or the scan met no value of theirs, or more than "
        "it could read. <code>set_pii</code> says what they hold and opens them."
    )
    return f"<h2>Not scanned</h2><p>Governed roles do not see these columns: {shown}{more}. {why}</p>"

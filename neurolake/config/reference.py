"""The settings as a page of documentation; `python -m neurolake.config.reference FILE` makes it anew."""

from __future__ import annotations

import sys
from pathlib import Path

from neurolake.config.table import SETTINGS, Setting
from neurolake.config.values import format_value

__all__ = ["reference", "updated"]

BEGIN = "<!-- settings: made by `python -m neurolake.config.reference docs/configuration.md` -->\n"
END = "<!-- end of settings -->\n"

_GROUPS = {
    "memory_bytes_max": "Memory, threads and disk",
    "statement_timeout_s": "Statements",
    "host": "Server",
    "login_failures_max": "Logins",
    "shutdown_grace_s": "Limits of the server",
    "sessions_max": "Sessions",
    "allowed_locations": "Storage",
    "snapshot_repositories": "Snapshots",
    "notify_on": "Notifications",
    "pii_scan": "Personal data",
    "history_rows_max": "History and audit",
    "log_level": "Logging",
}
"""The heading that stands before each of these settings."""


def reference() -> str:
    """All settings as Markdown tables, in the table's own order."""
    lines: list[str] = []
    for setting in SETTINGS:
        if setting.name in _GROUPS:
            lines += [
                "",
                f"### {_GROUPS[setting.name]}",
                "",
                "| setting | default | what it does |",
                "|---|---|---|",
            ]
        lines.append(f"| `{setting.name}` | {_default(setting)} | {_about(setting)} |")
    return "\n".join((*lines, "", ""))


def updated(page: str) -> str:
    """A page with what stands between its two marks made anew.

    >>> updated(f"# Settings\\n{BEGIN}old\\n{END}The end.").splitlines()[-1]
    'The end.'
    """
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{reference()}{END}{after}"


def _default(setting: Setting) -> str:
    text = setting.default_text or f"`{format_value(setting.type, setting.default)}`"
    return "empty" if text == "``" else text


def _about(setting: Setting) -> str:
    words = [setting.help]
    if setting.choices:
        words.append(f"One of {', '.join(f'`{choice}`' for choice in setting.choices)}.")
    if setting.per_session:
        words.append("*A session may set its own.*")
    if setting.secret:
        words.append("*Secret: never shown, may be a reference.*")
    return " ".join(words)


def main(page: Path) -> None:
    """Rewrite a page's tables in place."""
    page.write_text(updated(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

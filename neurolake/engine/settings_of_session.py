"""SET, RESET and USE: what a session may change, and how it reaches every cursor of the session."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from neurolake import errors
from neurolake.activity import Activity
from neurolake.config import SETTINGS
from neurolake.identifiers import fold
from neurolake.outbox import SCHEMA as OUTBOX_SCHEMA
from neurolake.sql.statements import Setting
from neurolake.sql.text import RESERVED_SCHEMA, literal, quote, split_identifier

if TYPE_CHECKING:
    from neurolake.engine import Engine
    from neurolake.session import Session

_OURS = frozenset(setting.name for setting in SETTINGS if setting.per_session)
_FIXED = frozenset(setting.name for setting in SETTINGS if not setting.per_session)
_PLAIN = re.compile(r'[\w./+:" -]*')
_ENGINE = frozenset(
    ("timezone", "calendar", "integer_division", "ieee_floating_point_ops", "scalar_subquery_error_on_multiple_rows",
     "search_path", "schema")
)  # fmt: skip
"""The engine's own settings that belong to one session; its default_order and default_null_order reach all of them."""


_NOT_GOVERNED = frozenset(("search_path", "calendar", "ieee_floating_point_ops"))
"""What would change where names lead, or what masks and row filters compute."""


def check(engine: Engine, session: Session, setting: Setting) -> None:
    """Refuse what is not the session's own to change.

    Raises:
        AccessDenied: a role that the principal does not have.
        InvalidRequest: a setting of the instance, or an unknown one.
    """
    if setting.name == "role":
        engine.governance.check_role(session, setting.value)
        return
    if not session.principal.is_admin:
        _check_governed(setting)
    if (
        setting.is_global
        or setting.name in _FIXED
        or not (setting.is_variable or setting.name in _OURS or setting.name in _ENGINE)
    ):
        raise errors.InvalidRequest(
            f"{setting.name} is no setting of a session.",
            code="setting_locked",
            next_step="Settings of the whole lake are changed in neurolake.toml; "
            f"a session may set {', '.join(sorted(_OURS | _ENGINE))}.",
        )


def _check_governed(setting: Setting) -> None:
    """A governed session has no variables, stands where the gate has put it, and sets plain values only."""
    plain = setting.value is None or _PLAIN.fullmatch(setting.value) is not None
    if setting.is_variable or setting.name in _NOT_GOVERNED or not plain:
        raise errors.AccessDenied(
            f"A governed role may not set {setting.name} so.",
            code="setting_denied",
            next_step=f"It may set {', '.join(sorted((_OURS | _ENGINE) - _NOT_GOVERNED))} to a plain value.",
        )


def change(engine: Engine, session: Session, setting: Setting, text: str, activity: Activity) -> None:
    """Carry out a change that `check` has let through."""
    if setting.name == "role":
        engine.governance.set_role(session, setting.value, activity.query_id)
        return
    if setting.name in _OURS and not setting.is_variable:
        _change_ours(engine, session, setting)
        return
    governed = not session.principal.is_admin
    if setting.name == "schema" and setting.value is not None:
        text = f"USE {_schema(setting.value)}"
    elif governed:  # a value may be an expression: the caller's own text of it never runs
        text = f"RESET {setting.name}" if setting.value is None else f"SET {setting.name} = {literal(setting.value)}"
    if governed and setting.name == "schema":
        _find(engine, session, setting.value)
    else:
        _try(session, text, activity)
    key = f"variable {setting.name}" if setting.is_variable else setting.name
    session.change(key, None if setting.value is None else text)
    if setting.name == "schema":
        session.schema = split_identifier(setting.value)[-1] if setting.value else engine.settings.default_schema


def _schema(name: str) -> str:
    parts = split_identifier(name)
    if len(parts) == 1 and fold(parts[0]) != "lake":
        parts = ["lake", parts[0]]
    if len(parts) == 1:
        parts = ["lake", "main"]
    if fold(parts[0]) != "lake" or len(parts) != 2:
        raise errors.NotFound(f"There is no schema {name}.", next_step="Schemas of the lake are lake.<schema>.")
    if fold(parts[1]) in (RESERVED_SCHEMA, OUTBOX_SCHEMA):
        raise errors.InvalidRequest(
            "The schema neurolake is the system's own.", code="reserved_name", next_step="Choose another schema."
        )
    return ".".join(map(quote, parts))


def _find(engine: Engine, session: Session, schema: str | None) -> None:
    """A governed session only notes its schema: its statements name everything in full."""
    from neurolake.catalog.browse import Browser

    if schema is not None and fold(split_identifier(schema)[-1]) not in (
        fold(name) for name in (*Browser(engine, session).schemas(), "lake")
    ):
        raise errors.NotFound(f"There is no schema {schema}.", next_step="SELECT * FROM information_schema.schemata.")


def _try(session: Session, text: str, activity: Activity) -> None:
    """Run it on the home cursor, which keeps it; what fails there changes nothing."""
    with session.at_home(activity) as cursor:
        cursor.run(text)


def _change_ours(engine: Engine, session: Session, setting: Setting) -> None:
    before = session.own_settings or engine.settings
    own: dict[str, object] = {
        name: getattr(before, name)
        for name in _OURS
        if name != setting.name and getattr(before, name) != getattr(engine.settings, name)
    }
    if setting.value is not None:
        own[setting.name] = setting.value
    settings = engine.settings.with_session(**own)  # so that what the session has lowered, it may raise again
    session.own_settings = settings
    session.dialect = settings.dialect
    session.timeout_s = settings.statement_timeout_s
    session.settings_version += 1

"""Planning what governed roles make and drop: the statement that runs is composed of names and gated parts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from neurolake import errors
from neurolake._duckdb import CATALOG
from neurolake.activity import Activity
from neurolake.engine import gating, governed, governed_views, planning
from neurolake.governance import gate
from neurolake.governance.objects import LAKE, Object
from neurolake.governance.ruling import Ruling
from neurolake.governance.views import RESERVED
from neurolake.identifiers import fold
from neurolake.outbox import SCHEMA as OUTBOX_SCHEMA
from neurolake.query import Plan, evolve
from neurolake.sql.text import DEFAULT_SCHEMA, RESERVED_SCHEMA, Name, quote, split_identifier

if TYPE_CHECKING:
    from neurolake.engine import Engine
    from neurolake.session import Session

NAME = r'(?:"(?:[^"]|"")+"|\w+)'
FULL = rf"{NAME}(?:\s*\.\s*{NAME})*"
_MAKE = (
    r"\s*CREATE\s+(?P<replace>OR\s+REPLACE\s+)?(?P<temporary>TEMP(?:ORARY)?\s+)?{made}\s+(?P<missing>IF\s+NOT\s+EXISTS\s+)?"
    rf"(?P<name>{FULL})"
)
_MAKE_TABLE, _MAKE_VIEW = (_MAKE.replace("{made}", made) for made in ("TABLE", "VIEW"))
_CREATE_AS = re.compile(rf"{_MAKE_TABLE}\s+AS\s+(?P<query>.*)\Z", re.IGNORECASE | re.DOTALL)
_CREATE = re.compile(
    rf"{_MAKE_TABLE}\s*\((?P<columns>[^()]*(?:\([^()]*\)[^()]*)*)\)\s*\Z",
    re.IGNORECASE | re.DOTALL,
)
_PLAIN = r"(?:\s+(?:NOT\s+NULL|NULL|PRIMARY\s+KEY|UNIQUE))*"
_COLUMN = re.compile(
    rf"\s*(?P<name>{NAME})\s+(?P<type>.*?)(?P<before>{_PLAIN})(?:\s+DEFAULT\s+(?P<default>.*?))?(?P<after>{_PLAIN})\s*\Z",
    re.IGNORECASE | re.DOTALL,
)
_KEY = re.compile(
    rf"\s*(?P<kind>PRIMARY\s+KEY|UNIQUE)\s*\(\s*(?P<columns>{NAME}(?:\s*,\s*{NAME})*)\s*\)\s*\Z", re.IGNORECASE
)
_PART = re.compile(r"""(?:'(?:[^']|'')*'|"(?:[^"]|"")*"|\([^()]*\)|[^,'"()])+""")
_NO_SCHEMAS = (RESERVED_SCHEMA, OUTBOX_SCHEMA, "temp", "information_schema", "pg_catalog")
"""In which nobody makes a table."""
_KEPT = "Use the engine's own types, [NOT] NULL, UNIQUE, PRIMARY KEY and constants as DEFAULT: see docs/security.md."
_CREATE_VIEW = re.compile(
    rf"{_MAKE_VIEW}\s*(?P<aliases>\(\s*{NAME}(?:\s*,\s*{NAME})*\s*\)\s*)?\bAS\b(?P<query>.*)\Z",
    re.IGNORECASE | re.DOTALL,
)
_DROP = re.compile(rf"\s*DROP\s+(?P<kind>TABLE|VIEW)\s+(?P<exists>IF\s+EXISTS\s+)?(?P<name>{FULL})\s*\Z", re.IGNORECASE)
_SCHEMA = re.compile(
    rf"\s*(?P<verb>CREATE|DROP)\s+SCHEMA\s+(?P<unless>IF\s+(?:NOT\s+)?EXISTS\s+)?(?P<name>{FULL})(?:\s+RESTRICT)?\s*\Z",
    re.IGNORECASE,
)
_TYPE = re.compile(r"CAST\(NULL AS (.*)\)\Z", re.DOTALL)


def define(engine: Engine, draft: Plan, activity: Activity) -> Plan:
    """CREATE TABLE, with a query or with columns, CREATE VIEW, CREATE SCHEMA, DROP of each, and ALTER TABLE.

    Raises:
        AccessDenied: the role may not, or the statement is another.
    """
    draft = evolve(draft, home=governed.at_home(draft))
    if draft.verb == "ALTER":
        from neurolake.engine import governed_alter

        return governed_alter.define(engine, draft, activity)
    if (match := _DROP.match(draft.text)) is not None:
        return _drop(engine, draft, activity, match)
    if (match := _SCHEMA.match(draft.text)) is not None:
        return _schema(engine, draft, activity, match)
    patterns = (_CREATE_AS, _CREATE, _CREATE_VIEW)
    match = next((found for pattern in patterns if (found := pattern.match(draft.text)) is not None), None)
    if match is None:
        raise gate.denied(f"this form of {draft.verb}", code="statement_denied")
    draft = evolve(draft, home=draft.home or bool(match["temporary"]))
    name, sql = _made(engine, draft, match)
    if match.re is _CREATE_VIEW:
        return governed_views.define(engine, draft, activity, match, name, sql)
    return _create(engine, draft, activity, match, name, sql)


def _create(engine: Engine, draft: Plan, activity: Activity, match: re.Match[str], name: str, sql: str) -> Plan:
    head = f"CREATE {'OR REPLACE ' * bool(match['replace'])}{'TEMP ' * bool(match['temporary'])}TABLE "
    head += f"{'IF NOT EXISTS ' * bool(match['missing'])}{sql}"
    if "query" not in match.groupdict():
        text, relations = f"{head} ({_columns(engine, match['columns'])})", None
    else:
        relations = governed.Relations(engine, draft, activity)
        select = gating.mapped(engine, match["query"], relations, draft.request.session.schema).text
        text = f"{head} AS {select}"
    ruling = Ruling(engine.access.version, {}) if relations is None else relations.ruling()
    there = bool(match["missing"]) and fold(name) in draft.request.session.temporary
    made = fold(name) if match["temporary"] and not there else None  # what is there stays what it was
    draft = evolve(draft, text=text, relations={} if relations is None else relations.lent, ruling=ruling, detail=made)
    return planning.described(draft, planning.bound(draft, activity))


def _made(engine: Engine, draft: Plan, match: re.Match[str]) -> tuple[str, str]:
    """The name of the table or view to be made, and the SQL of it."""
    parts = split_identifier(match["name"])
    if fold(parts[-1]).startswith(RESERVED):
        raise errors.InvalidRequest(
            f"Names that begin with {RESERVED} are the system's own.", code="reserved_name",
            next_step="Choose another name.",
        )  # fmt: skip
    if match["temporary"]:
        if [fold(part) for part in parts[:-1]] not in ([], ["temp"], ["temp", "main"]):
            raise gate.denied("a temporary table in a schema", code="statement_denied")
        return parts[-1], f"temp.main.{quote(parts[-1])}"
    name = lake_name(parts, draft.request.session)
    may_make(engine, draft, name)
    return name.table, name.sql()


def may_make(engine: Engine, draft: Plan, name: Name) -> None:
    """Refuse a name under which the role may make nothing.

    Raises:
        AccessDenied: it has no such privilege.
        AlreadyExists: a source has the name.
    """
    if not engine.access.may(draft.request.principal, "create", Object.of(name)):
        raise no_privilege("create", name, draft.request.principal.role)
    if name.fold() in engine.catalog.sources:
        raise errors.AlreadyExists(f"A source named {name} exists already.", next_step="Choose another name.")


def lake_name(parts: list[str], session: Session) -> Name:
    """The table of the lake that these parts of a name mean.

    Raises:
        AccessDenied, InvalidRequest: they mean something else.
    """
    if len(parts) == 3 and fold(parts[0]) == "lake":
        parts = parts[1:]
    if len(parts) > 2:
        raise gate.denied("a table outside the lake", code="statement_denied")
    name = Name(parts[0] if len(parts) == 2 else session.schema, parts[-1])
    if fold(name.schema) in _NO_SCHEMAS:
        raise errors.InvalidRequest(
            f"No table can be made in the schema {name.schema}.", code="reserved_name", next_step="Choose another."
        )
    return name


def _columns(engine: Engine, text: str) -> str:
    """The columns of a CREATE TABLE: names, the engine's own types, constants, and plain constraints."""
    parts = _PART.findall(text)
    if ",".join(parts) != text:
        raise _odd_column()
    try:
        return ", ".join(_column(engine, part) for part in parts)
    except errors.InvalidRequest as problem:
        if problem.code != "syntax":
            raise
        raise _odd_column() from None


def _odd_column() -> errors.AccessDenied:
    return gate.denied("this form of a column", code="statement_denied", next_step=_KEPT)


def _column(engine: Engine, text: str) -> str:
    if (key := _KEY.match(text)) is not None:
        names = (quote(name) for part in re.findall(NAME, key["columns"]) for name in split_identifier(part))
        return f"{' '.join(key['kind'].upper().split())} ({', '.join(names)})"
    match = _COLUMN.match(text)
    if match is None:
        raise _odd_column()
    (name,) = split_identifier(match["name"])
    default = f"DEFAULT {constant(engine, match['default'])}" if match["default"] else ""
    plain = " ".join(f"{match['before']} {match['after']}".upper().split())
    return " ".join(filter(None, (quote(name), column_type(engine, match["type"]), default, plain)))


def constant(engine: Engine, text: str) -> str:
    """The SQL of a default: a constant, since what else it might read is read with everybody's rights.

    Raises:
        AccessDenied: something else stands there.
    """
    node, printed = expression(engine, text)
    inner = node
    while inner["class"] == "CAST":
        inner = inner["child"]
    if inner["class"] != "CONSTANT":
        raise gate.denied("a default that is no constant", code="statement_denied", next_step=_KEPT)
    return printed


def column_type(engine: Engine, text: str) -> str:
    """The SQL of a type: one of the engine's own.

    Raises:
        AccessDenied: it is none, or something else stands there.
    """
    node, printed = expression(engine, f"CAST(NULL AS {text}\n)")
    kind = _TYPE.match(printed)
    if kind is None or node["class"] != "CAST":
        raise _odd_column()
    return kind[1]


def expression(engine: Engine, text: str) -> tuple[gate.Node, str]:
    """The tree of one expression that reads no table, and its text as the engine prints it.

    Raises:
        AccessDenied: it holds what governed roles may not use, or something else stands there.
    """
    tree = engine.serialise(f"SELECT {text}\n")
    printed, tree, *_ = gating.mapped_tree(engine, tree, no_relation, DEFAULT_SCHEMA)
    node = tree["statements"][0]["node"]
    alone = node["type"] == "SELECT_NODE" and node["from_table"]["type"] == "EMPTY" and len(node["select_list"]) == 1
    if not alone or node["select_list"][0]["alias"] or _more(node):
        raise gate.denied("anything but one expression here", code="statement_denied")
    return node["select_list"][0], printed.removeprefix("SELECT ")


def _more(node: gate.Node) -> bool:
    keys = ("modifiers", "where_clause", "group_expressions", "group_sets", "having", "sample", "qualify")
    return any(node[key] for key in keys) or bool(node["cte_map"]["map"])


def no_relation(path: gate.Path) -> gate.Path:
    """Reads nothing in place of any relation.

    Raises:
        AccessDenied: always.
    """
    raise gate.denied("a table here", code="statement_denied")


def _drop(engine: Engine, draft: Plan, activity: Activity, match: re.Match[str]) -> Plan:
    session, principal = draft.request.session, draft.request.principal
    parts = split_identifier(match["name"])
    temporary = governed.temporary_of(tuple(parts), session.temporary)
    if temporary is not None:
        sql = f"temp.main.{quote(temporary)}"
    else:
        name = lake_name(parts, session)
        if not engine.access.may(principal, "create", Object.of(name)):
            raise no_privilege("create", name, principal.role)
        sql = name.sql()
    draft = evolve(
        draft, text=f"DROP {match['kind'].upper()} {'IF EXISTS ' * bool(match['exists'])}{sql}",
        home=draft.home or temporary is not None, ruling=Ruling(engine.access.version, {}),
    )  # fmt: skip
    return planning.described(draft, planning.bound(draft, activity))


def _schema(engine: Engine, draft: Plan, activity: Activity, match: re.Match[str]) -> Plan:
    """CREATE SCHEMA, and DROP SCHEMA of one that is empty: what is in it need not be the role's to drop."""
    parts, principal = split_identifier(match["name"]), draft.request.principal
    if len(parts) == 2 and fold(parts[0]) == fold(CATALOG):
        parts = parts[1:]
    if len(parts) > 1:
        raise gate.denied("a schema outside the lake", code="statement_denied")
    if fold(parts[0]) in _NO_SCHEMAS:
        raise errors.InvalidRequest(
            f"The schema {parts[0]} is the system's own.", code="reserved_name", next_step="Choose another."
        )
    if match["verb"].upper() == "CREATE":
        planning.refuse_mount(parts[0])
    if not engine.access.may(principal, "create", LAKE):
        raise _missing("create", "the lake", principal.role)
    text = f"{match['verb']} SCHEMA {match['unless'] or ''}{CATALOG}.{quote(parts[0])}"
    draft = evolve(draft, text=text, ruling=Ruling(engine.access.version, {}))
    return planning.described(draft, planning.bound(draft, activity))


def no_privilege(privilege: str, name: Name, role: str) -> errors.AccessDenied:
    """The answer to a write that the role may not do, whether there is such a table or not."""
    return _missing(privilege, str(name), role).on(name)


def _missing(privilege: str, on: str, role: str) -> errors.AccessDenied:
    return errors.AccessDenied(
        f"The role {role or '(none)'} does not have the privilege {privilege} on {on}.",
        code="privilege_missing",
        next_step=f"Ask an administrator: CALL neurolake.grant('{privilege}', …).",
    )

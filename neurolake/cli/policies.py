"""`policy`, `catalog` and `audit`: who may see what, what is known about columns, and the record of all of it."""

from __future__ import annotations

from pathlib import Path

import click

from neurolake import errors
from neurolake.cli.output import answer, destination, print_rows
from neurolake.cli.target import Command, Target, on_a_lake
from neurolake.cli.values import parse_values
from neurolake.identifiers import folded_sql

_ROLE = click.option(
    "--role", default="*", show_default=True, metavar="ROLE", help="Whom it is for; * for all but admin."
)


@click.group()
def policy() -> None:
    """Grant, and say what roles see of columns and rows."""


@click.group()
def catalog() -> None:
    """Tag, describe and review what the lake holds."""


@click.group()
def audit() -> None:
    """Check and export the audit log."""


@policy.command(cls=Command, name="list")
@on_a_lake
def list_policies(target: Target, as_json: bool) -> None:
    """Show the policies and row filters.

    \b
      neurolake policy list
    """
    with target.open() as lake:
        print_rows(lake.sql("SELECT * EXCLUDE (created_at) FROM neurolake.policies ORDER BY name").arrow(), as_json)


@policy.command(cls=Command)
@on_a_lake
def grants(target: Target, as_json: bool) -> None:
    """Show what roles were granted.

    \b
      neurolake policy grants
    """
    with target.open() as lake:
        rows = lake.sql("SELECT role, privilege, object, granted_by FROM neurolake.grants ORDER BY ALL").arrow()
    print_rows(rows, as_json)


@policy.command(cls=Command)
@click.argument("privilege")
@click.argument("object_", metavar="OBJECT")
@click.argument("role")
@on_a_lake
def grant(target: Target, privilege: str, object_: str, role: str, as_json: bool) -> None:
    """Give a role read, write, create, call or admin on an object.

    OBJECT is lake, schema:s, table:[s.]t or column:[s.]t.c; without a prefix it is a table.

    \b
      neurolake policy grant read orders analyst
      neurolake policy grant create schema:sandbox analyst
    """
    with target.open() as lake:
        row = lake.call("grant", privilege, object_, role).to_pylist()[0]
    answer(f"{row['role']} has {row['privilege']} on {row['object']}.", row, as_json)


@policy.command(cls=Command)
@click.argument("privilege")
@click.argument("object_", metavar="OBJECT")
@click.argument("role")
@on_a_lake
def revoke(target: Target, privilege: str, object_: str, role: str, as_json: bool) -> None:
    """Take from a role what it was granted on exactly this object.

    \b
      neurolake policy revoke read orders analyst
    """
    with target.open() as lake:
        row = lake.call("revoke", privilege, object_, role).to_pylist()[0]
    answer(f"Revoked {row['privilege']} on {row['object']} from {row['role']}.", row, as_json)


@policy.command(cls=Command, name="set")
@click.argument("name")
@click.argument("on", metavar="TARGET")
@click.argument("action")
@_ROLE
@click.option(
    "--option", "options", multiple=True, callback=parse_values, metavar="NAME=VALUE",
    help="An option of the action, such as width=10. May come again.",
)  # fmt: skip
@on_a_lake
def set_policy(
    target: Target, name: str, on: str, action: str, role: str, options: dict[str, object], as_json: bool
) -> None:
    """Say what a role sees of a column, a table, a tag or an entity.

    TARGET is an object, tag:… or entity:…; docs/governance.md lists the actions.

    \b
      neurolake policy set mails entity:EMAIL_ADDRESS partial --option email=true
      neurolake policy set pay column:people.pay bucket --role analyst --option width=1000
    """
    with target.open() as lake:
        row = lake.call("set_policy", name, role, on, action, options or None).to_pylist()[0]
    answer(f"Set the policy {row['name']}: {row['action']} on {row['target']} for {row['role']}.", row, as_json)


@policy.command(cls=Command, name="filter")
@click.argument("name")
@click.argument("table")
@click.argument("condition")
@_ROLE
@on_a_lake
def set_filter(target: Target, name: str, table: str, condition: str, role: str, as_json: bool) -> None:
    """Let a role see only the rows of a table for which a condition is true.

    \b
      neurolake policy filter own_region orders "region = neurolake.attribute('region')"
    """
    with target.open() as lake:
        row = lake.call("set_row_filter", name, role, table, condition).to_pylist()[0]
    answer(f"Set the row filter {row['name']} on {row['table_name']} for {row['role']}.", row, as_json)


@policy.command(cls=Command)
@click.argument("name")
@click.option("--filter", "row_filter", is_flag=True, help="It is a row filter.")
@on_a_lake
def drop(target: Target, name: str, row_filter: bool, as_json: bool) -> None:
    """Drop a policy, or a row filter.

    \b
      neurolake policy drop mails
      neurolake policy drop own_region --filter
    """
    with target.open() as lake:
        row = lake.call("drop_row_filter" if row_filter else "drop_policy", name).to_pylist()[0]
    answer(f"Dropped {row['name']}.", row, as_json)


@policy.command(cls=Command)
@click.argument("sql", required=False)
@click.option("--role", metavar="ROLE", help="As this role. [default: one's own]")
@click.option("--for-user", "user_name", metavar="NAME", help="As this user, in their first role or in the one named.")
@click.option("--object", "about", metavar="OBJECT", help="About this table or column, such as column:people.email.")
@on_a_lake
def explain(
    target: Target, sql: str | None, role: str | None, user_name: str | None, about: str | None, as_json: bool
) -> None:
    """Show what a role or a user would see of a statement, a table or a column, and why. Nothing is run.

    \b
      neurolake policy explain "SELECT * FROM people" --role analyst
      neurolake policy explain --object column:people.email --for-user ann
    """
    with target.open() as lake:
        print_rows(lake.call("explain_policy", sql, role, user_name, about), as_json)


@policy.command(cls=Command, name="rotate-key")
@on_a_lake
def rotate_key(target: Target, as_json: bool) -> None:
    """Make a new secret behind tokens and shifted dates; those made before do not match any more.

    \b
      neurolake policy rotate-key
    """
    with target.open() as lake:
        row = lake.call("rotate_mask_key").to_pylist()[0]
    answer(f"Tokens and shifted dates are made with version {row['version']} of the key.", row, as_json)


@catalog.command(cls=Command)
@click.argument("table", required=False)
@on_a_lake
def columns(target: Target, table: str | None, as_json: bool) -> None:
    """Show the columns of a table or of all, with their tags, and what they hold.

    \b
      neurolake catalog columns people
    """
    from neurolake.sql.text import Name

    where, values = "", None
    if table is not None:
        where = f"WHERE {folded_sql('table_schema')} = ? AND {folded_sql('table_name')} = ?"
        values = list(Name.parse(table).fold())
    with target.open() as lake:
        print_rows(lake.sql(f"SELECT * FROM neurolake.columns {where}", values).arrow(), as_json)


@catalog.command(cls=Command)
@click.argument("object_", metavar="OBJECT")
@click.argument("tag")
@click.option("--remove", is_flag=True, help="Take the tag away.")
@on_a_lake
def tag(target: Target, object_: str, tag: str, remove: bool, as_json: bool) -> None:
    """Tag a schema, a table or a column. Policies on the tag hold for the columns of what is tagged.

    \b
      neurolake catalog tag column:people.pay salary
      neurolake catalog tag column:people.pay salary --remove
    """
    with target.open() as lake:
        row = lake.call("untag" if remove else "tag", object_, tag).to_pylist()[0]
    answer(f"{'Untagged' if remove else 'Tagged'} {row['object']}: {row['tag']}.", row, as_json)


@catalog.command(cls=Command)
@click.argument("object_", metavar="OBJECT")
@click.argument("text")
@on_a_lake
def describe(target: Target, object_: str, text: str, as_json: bool) -> None:
    """Describe a schema, a table or a column; an empty TEXT removes the description.

    \b
      neurolake catalog describe column:people.pay "Monthly, before tax."
    """
    with target.open() as lake:
        row = lake.call("set_description", object_, text).to_pylist()[0]
    answer(f"Described {row['object']}.", row, as_json)


@catalog.command(cls=Command)
@click.argument("object_", metavar="OBJECT")
@click.argument("entity", required=False)
@click.option(
    "--status", type=click.Choice(("confirmed", "rejected", "auto")), default="confirmed", show_default=True,
    help="It holds the entity, it does not, or a scan decides.",
)  # fmt: skip
@on_a_lake
def review(target: Target, object_: str, entity: str | None, status: str, as_json: bool) -> None:
    """Say what a column, or every column of a table, holds; without an ENTITY: nothing personal.

    \b
      neurolake catalog review column:people.email EMAIL_ADDRESS
      neurolake catalog review people
    """
    with target.open() as lake:
        row = lake.call("set_pii", object_, entity, status).to_pylist()[0]
    answer(f"Reviewed {row['object']}: {row['entity'] or 'nothing personal'}, {row['status']}.", row, as_json)


@catalog.command(cls=Command)
@click.argument("object_", metavar="OBJECT")
@click.option("--reason", required=True, help="Why; the audit log keeps it.")
@on_a_lake
def declassify(target: Target, object_: str, reason: str, as_json: bool) -> None:
    """Say, with a reason, that a column or every column of a table holds nothing personal.

    \b
      neurolake catalog declassify column:people.id --reason "a running number"
    """
    with target.open() as lake:
        row = lake.call("declassify", object_, reason).to_pylist()[0]
    answer(f"Declassified {row['object']}.", row, as_json)


@audit.command(cls=Command)
@click.option("--last-hash", metavar="HASH", help="One that was kept: exit with 4 unless a chain still holds it.")
@on_a_lake
def verify(target: Target, last_hash: str | None, as_json: bool) -> None:
    """Check that no record of the audit log was changed, removed or slipped in. Exit code 4 if one was.

    \b
      neurolake audit verify
      neurolake audit verify --last-hash "$(cat kept)"
    """
    with target.open() as lake:
        found = lake.call("verify_audit", last_hash=last_hash)
    print_rows(found, as_json)
    rows = found.to_pylist()
    problems = [row["problem"] for row in rows if not row["intact"]]
    if last_hash is not None and not any(row["holds_last_hash"] for row in rows):
        problems.append("it does not hold the record of that hash, which was cut off or is of another log")
    if problems:
        raise errors.HomeProblem(
            f"The audit log is not whole: {problems[0]}.", code="audit_broken",
            next_step="Compare it with an export, and find out who could write the metadata file.",
        )  # fmt: skip


@audit.command(cls=Command)
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="[default: standard output]"
)
@click.option("--format", "format_", type=click.Choice(("json", "csv", "parquet", "arrow")), default="json")
@on_a_lake
def export(target: Target, output: Path | None, format_: str, as_json: bool) -> None:
    """Export the audit log, the oldest record first.

    \b
      neurolake audit export --output audit.json
    """
    from neurolake.formats import open_writer

    if as_json and format_ != "json":
        raise click.UsageError(f"--json and --format {format_} contradict each other.")
    with (
        target.open() as lake,
        lake.sql("SELECT * FROM neurolake.audit ORDER BY recorded_at, chain DESC, number") as result,
        destination(output) as sink,
        open_writer(format_, sink, result.schema) as writer,
    ):
        for batch in result:
            writer.write(batch)

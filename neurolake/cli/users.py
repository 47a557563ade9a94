"""`user` and `role`: who may come in, and as what."""

from __future__ import annotations

import sys

import click

from neurolake.cli.output import answer, print_rows
from neurolake.cli.target import Command, Target, on_a_lake

_ROLES = click.option("--role", "roles", multiple=True, metavar="ROLE", help="A role of theirs. May come again.")
_ASK = click.option("--ask", is_flag=True, help="Ask for the password on the terminal.")
_STDIN = click.option("--stdin", is_flag=True, help="Read the password from standard input.")


@click.group()
def user() -> None:
    """Make users, and what they come in with."""


@click.group()
def role() -> None:
    """Make roles, and give them to users."""


@user.command(cls=Command, name="list")
@on_a_lake
def list_users(target: Target, as_json: bool) -> None:
    """Show the users, with their roles and attributes.

    \b
      neurolake user list
    """
    with target.open() as lake:
        print_rows(lake.sql("SELECT * EXCLUDE created_at FROM neurolake.users ORDER BY user_name").arrow(), as_json)


@user.command(cls=Command)
@click.argument("name")
@_ROLES
@_ASK
@_STDIN
@on_a_lake
def create(target: Target, name: str, roles: tuple[str, ...], ask: bool, stdin: bool, as_json: bool) -> None:
    """Make a user.

    The first role is the one they log in with. Without --ask or --stdin they have no password, and come in by a
    token, a client certificate or an identity provider.

    \b
      neurolake user create ann --role analyst --role staff --ask
      neurolake user create loader --role loader
    """
    secret = _secret(name, ask=ask, stdin=stdin)
    with target.open() as lake:
        lake.call("create_user", name, secret, list(roles))
    answer(f"Made the user {name}.", {"user_name": name, "roles": roles}, as_json)


@user.command(cls=Command)
@click.argument("name")
@_STDIN
@on_a_lake
def password(target: Target, name: str, stdin: bool, as_json: bool) -> None:
    """Set a user's password. It is asked for, or read from standard input, and ends their other sessions.

    \b
      neurolake user password ann
    """
    secret = _secret(name, ask=not stdin, stdin=stdin)
    with target.open() as lake:
        lake.call("set_password", name, secret)
    answer(f"Set the password of {name}.", {"user_name": name}, as_json)


@user.command(cls=Command)
@click.argument("name")
@on_a_lake
def drop(target: Target, name: str, as_json: bool) -> None:
    """Drop a user with their tokens, and end their sessions.

    \b
      neurolake user drop ann
    """
    with target.open() as lake:
        lake.call("drop_user", name)
    answer(f"Dropped the user {name}.", {"user_name": name}, as_json)


@user.command(cls=Command)
@click.argument("name")
@click.argument("attribute")
@click.argument("value", required=False)
@on_a_lake
def attribute(target: Target, name: str, attribute: str, value: str | None, as_json: bool) -> None:
    """Set an attribute of a user, which row filters ask for; without a VALUE it is removed.

    \b
      neurolake user attribute ann region north
    """
    with target.open() as lake:
        lake.call("set_attribute", name, attribute, value)
    said = f"Set {attribute} of {name}." if value is not None else f"Removed {attribute} of {name}."
    answer(said, {"user_name": name, "name": attribute, "value": value}, as_json)


@user.command(cls=Command, name="token")
@click.argument("name")
@_ROLES
@click.option("--expires", default="90d", show_default=True, metavar="TIME", help="How long it lives: 12h, 30d …")
@on_a_lake
def make_token(target: Target, name: str, roles: tuple[str, ...], expires: str, as_json: bool) -> None:
    """Make a personal access token for a user, and print it this once.

    It stands for the user in all of their roles, or in those given.

    \b
      neurolake user token ann --role analyst --expires 30d
    """
    with target.open() as lake:
        row = lake.call("create_token", name, list(roles) or None, expires).to_pylist()[0]
    answer(str(row["token"]), row, as_json)


@user.command(cls=Command)
@on_a_lake
def tokens(target: Target, as_json: bool) -> None:
    """Show the personal access tokens, without their text.

    \b
      neurolake user tokens
    """
    with target.open() as lake:
        print_rows(lake.sql("SELECT * FROM neurolake.tokens ORDER BY created_at").arrow(), as_json)


@user.command(cls=Command)
@click.argument("token_id")
@on_a_lake
def revoke(target: Target, token_id: str, as_json: bool) -> None:
    """End a token and its sessions.

    \b
      neurolake user revoke 3f2a91c0d7e4
    """
    with target.open() as lake:
        lake.call("revoke_token", token_id)
    answer(f"Revoked the token {token_id}.", {"token_id": token_id}, as_json)


@role.command(cls=Command, name="list")
@on_a_lake
def list_roles(target: Target, as_json: bool) -> None:
    """Show the roles, and what they inherit.

    \b
      neurolake role list
    """
    with target.open() as lake:
        print_rows(lake.sql("SELECT role, inherits FROM neurolake.roles ORDER BY role").arrow(), as_json)


@role.command(cls=Command, name="create")
@click.argument("name")
@click.option("--inherits", multiple=True, metavar="ROLE", help="A role whose grants and policies it has, too.")
@on_a_lake
def create_role(target: Target, name: str, inherits: tuple[str, ...], as_json: bool) -> None:
    """Make a role. It may do what it inherits, and nothing else until it is granted.

    \b
      neurolake role create staff
      neurolake role create analyst --inherits staff
    """
    with target.open() as lake:
        row = lake.call("create_role", name, list(inherits)).to_pylist()[0]
    answer(f"Made the role {row['role']}.", row, as_json)


@role.command(cls=Command, name="drop")
@click.argument("name")
@on_a_lake
def drop_role(target: Target, name: str, as_json: bool) -> None:
    """Drop a role with its grants, policies and row filters.

    \b
      neurolake role drop analyst
    """
    with target.open() as lake:
        row = lake.call("drop_role", name).to_pylist()[0]
    answer(f"Dropped the role {row['role']}.", row, as_json)


@role.command(cls=Command)
@click.argument("name")
@click.argument("user_name")
@on_a_lake
def give(target: Target, name: str, user_name: str, as_json: bool) -> None:
    """Give a user a role.

    \b
      neurolake role give analyst ann
    """
    with target.open() as lake:
        row = lake.call("grant_role", name, user_name).to_pylist()[0]
    answer(f"{user_name} has the role {row['role']}.", row, as_json)


@role.command(cls=Command)
@click.argument("name")
@click.argument("user_name")
@on_a_lake
def take(target: Target, name: str, user_name: str, as_json: bool) -> None:
    """Take a role from a user, in open sessions too.

    \b
      neurolake role take analyst ann
    """
    with target.open() as lake:
        row = lake.call("revoke_role", name, user_name).to_pylist()[0]
    answer(f"{user_name} has the role {row['role']} no more.", row, as_json)


def _secret(name: str, *, ask: bool, stdin: bool) -> str | None:
    if ask and stdin:
        raise click.UsageError("--ask and --stdin contradict each other.")
    if stdin:
        return sys.stdin.buffer.readline().decode().rstrip("\r\n")
    if not ask:
        return None
    typed: str = click.prompt(f"New password of {name}", hide_input=True, confirmation_prompt=True, err=True)
    return typed

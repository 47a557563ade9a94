"""A governed role sees by random queries what it may see; test_governed_*.py beside this make tens of thousands."""

from __future__ import annotations

from property.governed_queries import Asked, check, check_forms


def test_what_a_role_sees_is_what_it_may_see(asked: tuple[Asked, ...]) -> None:
    assert check(asked, range(120)) > 40


def test_statements_of_one_form_see_the_same(asked: tuple[Asked, ...]) -> None:
    check_forms(asked, range(200, 230))

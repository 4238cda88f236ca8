"""What is made once stays, is private, and counts weeks from a Monday."""

import json
import stat
from dataclasses import asdict
from datetime import UTC, datetime

import pytest

from stack.identity import load_identity, new_identity
from stack.settings import Home, StackError


@pytest.mark.parametrize(
    "now", [datetime(2026, 11, 16, 0, 0, tzinfo=UTC), datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC)]
)
def test_week_21_is_last_weeks_monday_whenever_the_stack_is_made(now):
    identity = new_identity(now)

    assert identity.week_moment(21) == datetime(2026, 11, 9, 7, 5, tzinfo=UTC)
    assert identity.week_moment(1) == datetime(2026, 6, 22, 7, 5, tzinfo=UTC)
    assert datetime.fromisoformat(identity.week_epoch).weekday() == 0


def test_secrets_are_made_once_and_no_two_stacks_share_them(tmp_path):
    first, again = load_identity(Home(tmp_path)), load_identity(Home(tmp_path))
    other = new_identity(datetime.now(UTC))

    assert first == again
    assert not set(vars_of(first)) & set(vars_of(other))


def test_a_stack_of_before_gets_the_secrets_that_it_lacks_and_keeps_the_others(tmp_path):
    home = Home(tmp_path)
    whole = asdict(load_identity(home))
    older = {name: value for name, value in whole.items() if name not in {"prefect_password", "database_password"}}
    home.identity_file.write_text(json.dumps(older))

    renewed, again = asdict(load_identity(home)), asdict(load_identity(home))

    assert renewed == again
    assert {name: renewed[name] for name in older} == older
    assert renewed["prefect_password"] not in {"", whole["prefect_password"]}
    assert stat.S_IMODE(home.identity_file.stat().st_mode) == 0o600


def test_secrets_are_for_their_owner_alone_and_airflow_knows_the_password(tmp_path):
    home = Home(tmp_path)
    identity = load_identity(home)

    for file in (home.identity_file, home.passwords_file):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(home.passwords_file.read_text()) == {"admin": identity.admin_password}


@pytest.mark.parametrize("written", ["", "{", "[]", '{"name": "Ada"}'])
def test_an_identity_that_is_none_is_said_so_and_kept(tmp_path, written):
    home = Home(tmp_path)
    home.identity_file.write_text(written)

    with pytest.raises(StackError, match=r"identity\.json is not as a stack writes it[\s\S]*make clean"):
        load_identity(home)
    assert home.identity_file.read_text() == written


def vars_of(identity):
    return [value for name, value in asdict(identity).items() if name != "week_epoch"]

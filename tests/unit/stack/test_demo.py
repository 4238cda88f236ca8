"""Use cases of a demo take turns."""

import pytest

from stack.demo import take_turns


def course(name, steps, seen):
    for step in range(steps):
        seen.append((name, step))
        yield
    seen.append((name, "over"))


def test_so_many_are_run_side_by_side_the_next_one_where_one_is_over():
    seen = []

    take_turns([course("long", 3, seen), course("short", 1, seen), course("last", 1, seen)], 2, 0)

    assert seen == [
        *(("long", 0), ("short", 0)),
        *(("long", 1), ("short", "over")),
        *(("long", 2), ("last", 0)),
        *(("long", "over"), ("last", "over")),
    ]


def test_where_one_fails_the_others_are_closed():
    def fails():
        yield
        raise ValueError("no room")

    closed = []

    def goes_on():
        try:
            while True:
                yield
        finally:
            closed.append(True)

    with pytest.raises(ValueError, match="no room") as raised:
        take_turns([goes_on(), fails()], 2, 0)

    assert closed == [True], raised  # whose frames still hold it: it was closed, not forgotten

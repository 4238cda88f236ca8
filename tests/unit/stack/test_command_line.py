"""What the stack's command line says of a folder that it cannot use: one message, exit code 1."""

import os

import pytest

from factory import use_cases
from stack.__main__ import main


@pytest.mark.parametrize("command", ["up", "down", "status", "logs", "shell"])
@pytest.mark.parametrize(
    ("home", "said"),
    [
        ("a file", "it is no folder"),
        ("~nobody-of-that-name/stack", "cannot be found"),
        ("far" + "/longer-than-any-name-may-be" * 200, "File name too long"),
    ],
)
def test_a_home_that_is_none_is_named_with_its_cause(tmp_path, monkeypatch, capsys, command, home, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a file").touch()
    monkeypatch.setenv("STACK_HOME", home)

    assert main([command]) == 1

    told = capsys.readouterr().err
    assert said in told
    assert "remedy:" in told or "nobody" in told
    assert "Traceback" not in told


def test_a_folder_of_another_user_is_named_with_its_cause(tmp_path, monkeypatch, capsys):
    theirs = tmp_path / "theirs"
    theirs.mkdir(mode=0o000)
    monkeypatch.setenv("STACK_HOME", str(theirs / "stack"))
    ours = os.geteuid()
    try:
        os.seteuid(ours or 65534)  # root would be let in

        assert main(["status"]) == 1
    finally:
        os.seteuid(ours)

    told = capsys.readouterr().err
    assert "Permission denied" in told
    assert "remedy:" in told


def test_what_flows_say_in_a_log_steers_no_terminal(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("STACK_HOME", str(tmp_path))
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "mlflow.log").write_text("first\tline\n\x1b[2Jsecond \u202e\n")

    assert main(["logs", "mlflow"]) == 0
    assert capsys.readouterr().out == "first\tline\n\\x1b[2Jsecond \\u202e\n"


@pytest.mark.parametrize(
    ("arguments", "variable", "names"),
    [
        ([], None, ["products"]),
        ([], "churn", ["churn"]),
        (["--use-case", "churn"], "products", ["churn"]),
        ([], "all", [each.name for each in use_cases.ALL]),
    ],
)
def test_a_demo_is_of_the_use_cases_that_are_asked_for(tmp_path, monkeypatch, arguments, variable, names):
    asked = []
    monkeypatch.setenv("STACK_HOME", str(tmp_path))
    monkeypatch.setattr("stack.demo.run_demo", lambda _, use_cases, **__: asked.extend(each.name for each in use_cases))
    if variable is None:
        monkeypatch.delenv("USE_CASE", raising=False)
    else:
        monkeypatch.setenv("USE_CASE", variable)

    assert main(["demo", *arguments]) == 0

    assert asked == names


def test_a_use_case_that_there_is_not_is_named_with_those_that_there_are(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("STACK_HOME", str(tmp_path))
    monkeypatch.setenv("USE_CASE", "chrun")

    assert main(["demo"]) == 1

    names = ", ".join(each.name for each in use_cases.ALL)
    assert f"USE_CASE=chrun: no use case 'chrun'; there are: {names}, or all" in capsys.readouterr().err

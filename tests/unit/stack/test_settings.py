"""What the stack takes from its surroundings, and what it says of values that it cannot use."""

from pathlib import Path

import pytest

from stack.settings import StackError, free_ports, read_stack_settings


def test_an_empty_environment_gives_the_documented_defaults():
    settings = read_stack_settings({"PATH": "/bin", "DATABASE": "", "PREFECT_PORT": ""})

    assert settings.ports == {"PREFECT_PORT": 4200, "MLFLOW_PORT": 5000, "AIRFLOW_PORT": 8080}
    assert (settings.database, settings.airflow_schedule, settings.flows) == ("embedded", "none", "served")
    assert settings.home.path.name == ".stack"
    assert settings.flow_runs >= 2


def test_free_ports_leaves_a_named_port_alone():
    settings = read_stack_settings({"FREE_PORTS": "1", "MLFLOW_PORT": "5555"})

    assert settings.mlflow_port == 5555
    assert len(set(settings.ports.values())) == 3
    assert not {4200, 8080} & {settings.prefect_port, settings.airflow_port}


def test_settings_survive_the_way_to_the_supervisor():
    given = {
        "FREE_PORTS": "1",
        "STACK_HOME": "/s",
        "DATABASE": "sqlite",
        "AIRFLOW_SCHEDULE": "5 7 * * 1",
        "FLOWS": "worker",
        "FLOW_RUNS": "7",
        "DISCORD_WEBHOOK_URL": "http://127.0.0.1:9/hook",
        "PATH": "/bin",
        "MIN_SAMPLES_FOR_DRIFT": "5",
    }
    settings = read_stack_settings(given)

    assert read_stack_settings(settings.variables()) == settings


def test_free_ports_are_different():
    assert len(set(free_ports(20))) == 20


@pytest.mark.parametrize("value", ["http", "0", "65536", "-1", "4200 "])
def test_a_port_that_is_none_is_named_with_its_variable(value):
    with pytest.raises(StackError, match="AIRFLOW_PORT"):
        read_stack_settings({"AIRFLOW_PORT": value})


@pytest.mark.parametrize("value", ["0", "false", "No", "off", ""])
def test_free_ports_may_be_declined(value):
    assert read_stack_settings({"FREE_PORTS": value}).prefect_port == 4200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FREE_PORTS", "maybe"),
        ("MONITOR_SCHEDULE_ACTIVE", "daily"),
        ("PROMOTION_APPROVAL", "ja"),
        ("PROMOTION_BRANCH", "--force"),
        ("PROMOTION_BRANCH", "a..b"),
        ("PROMOTION_FOLDER", "../elsewhere"),
        ("PROMOTION_FOLDER", "/srv/models"),
        ("DRIFT_THRESHOLD", "1.5"),
        ("MIN_SAMPLES_FOR_DRIFT", "many"),
        ("WEEK_SEED", "1.5"),
        ("STACK_HOME", "/home/me/what?"),
        ("STACK_HOME", "/home/me/100%"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_with_its_variable(name, value):
    with pytest.raises(StackError, match=name):
        read_stack_settings({name: value})


def test_the_factorys_settings_are_passed_on():
    given = {"MONITOR_SCHEDULE_ACTIVE": "OFF", "PROMOTION_APPROVAL": "yes", "DRIFT_THRESHOLD": "0.5"}

    assert read_stack_settings(given).factory == given


def test_own_settings_of_use_cases_are_passed_by_a_path_that_holds_in_every_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text("[products]\nmin_class_rows = 5\n")

    assert read_stack_settings({"USE_CASE_SETTINGS": "mine.toml"}).factory == {
        "USE_CASE_SETTINGS": str(tmp_path / "mine.toml")
    }
    Path("mine.toml").write_text("[products]\nmin_class_rows = 0\n")
    with pytest.raises(StackError, match=r"mine\.toml(.|\n)*min_class_rows = 0"):
        read_stack_settings({"USE_CASE_SETTINGS": "mine.toml"})


def test_where_lineage_goes_is_passed_on_and_what_this_shell_is_part_of_is_not(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    wanted = {"OPENLINEAGE__TRANSPORT__TYPE": "console", "OPENLINEAGE_NAMESPACE": "factory"}
    given = {**wanted, "OPENLINEAGE_CONFIG": "lineage.yml", "OPENLINEAGE_PARENT_ID": "airflow/weekly.train/1"}

    passed = read_stack_settings(given).factory
    assert passed == {**wanted, "OPENLINEAGE_CONFIG": str(tmp_path / "lineage.yml")}


def test_two_services_on_one_port_are_refused():
    with pytest.raises(StackError, match="share a port"):
        read_stack_settings({"AIRFLOW_PORT": "4200"})


@pytest.mark.parametrize("value", ["embedded", "sqlite", "postgresql://u:p@db/postgres", "postgresql+asyncpg://db/x"])
def test_known_databases_are_taken(value):
    assert read_stack_settings({"DATABASE": value}).database == value


def test_another_database_is_refused_with_the_choices():
    with pytest.raises(StackError, match=r"embedded.*sqlite.*PostgreSQL"):
        read_stack_settings({"DATABASE": "mysql://db"})


def test_a_relative_folder_becomes_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    assert read_stack_settings({"STACK_HOME": "mine"}).home.path == Path(tmp_path / "mine")


def test_flow_runs_are_served_or_started_by_a_worker_and_nothing_else():
    with pytest.raises(StackError, match="FLOWS='serve' must be 'served' or 'worker'"):
        read_stack_settings({"FLOWS": "serve"})


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
def test_a_number_of_flow_runs_that_is_none_is_refused(value):
    with pytest.raises(StackError, match=f"FLOW_RUNS='{value}' is no number of flow runs"):
        read_stack_settings({"FLOW_RUNS": value})

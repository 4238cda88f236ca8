"""What each service sees: what it needs, and nothing of the user's shell beside."""

import json

import pytest
from fsspec.core import url_to_fs

from factory.settings import read_settings
from stack.environment import (
    airflow_environment,
    mlflow_environment,
    prefect_environment,
    read_exports,
    shell_exports,
)
from stack.settings import read_stack_settings


@pytest.fixture
def every_environment(settings, identity, urls):
    return [
        airflow_environment(settings, identity, urls),
        prefect_environment(settings, identity, urls),
        mlflow_environment(settings, identity, urls),
    ]


def test_a_service_gets_path_home_and_language_but_no_secret_of_the_shell(every_environment):
    for environment in every_environment:
        assert environment["HOME"] == "/home/someone"
        assert environment["LC_ALL"] == "C.UTF-8"
        assert environment["PATH"].endswith("/bin:/usr/bin")
        assert "theirs" not in environment.values()


def test_a_proxy_passes_and_is_not_asked_for_loopback(every_environment):
    for environment in every_environment:
        assert environment["HTTPS_PROXY"] == "http://proxy:3128"
        assert "127.0.0.1" in environment["NO_PROXY"].split(",")


def test_telemetry_is_off_everywhere(every_environment):
    for environment in every_environment:
        assert environment["DO_NOT_TRACK"] == "1"
        assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
        assert environment["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"


def test_neither_framework_sees_the_others_settings(settings, identity, urls):
    airflow = airflow_environment(settings, identity, urls)
    prefect = prefect_environment(settings, identity, urls)

    assert {name for name in airflow if name.startswith("PREFECT_")} == {
        "PREFECT_SERVER_ANALYTICS_ENABLED",
        "PREFECT_UI_URL",
    }
    assert {name for name in prefect if name.startswith("AIRFLOW")} == {"AIRFLOW_UI_URL"}
    assert airflow["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert prefect["PREFECT_API_URL"] == "http://127.0.0.1:4200/api"


def test_airflow_reaches_prefect_by_a_connection_of_its_type(settings, identity, urls):
    connection = json.loads(airflow_environment(settings, identity, urls)["AIRFLOW_CONN_PREFECT_DEFAULT"])

    assert connection == {
        "conn_type": "prefect",
        "host": "http://127.0.0.1:4200/api",
        "login": "prefect",
        "password": "of-prefect",
        "extra": {"ui_url": "http://127.0.0.1:4200"},
    }


def test_prefect_lets_in_who_knows_its_secret_and_pages_of_its_own_alone(settings, identity, urls):
    prefect = prefect_environment(settings, identity, urls)
    shell = read_exports(shell_exports(settings, identity, urls))

    assert prefect["PREFECT_SERVER_API_AUTH_STRING"] == "prefect:of-prefect"
    assert prefect["PREFECT_API_AUTH_STRING"] == shell["PREFECT_API_AUTH_STRING"] == "prefect:of-prefect"
    assert prefect["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"] == "http://127.0.0.1:4200,http://localhost:4200"


def test_the_factory_reads_the_same_settings_on_both_sides(settings, identity, urls):
    ours = [
        read_settings(airflow_environment(settings, identity, urls)),
        read_settings(prefect_environment(settings, identity, urls)),
        read_settings(read_exports(shell_exports(settings, identity, urls))),
    ]

    assert ours[0] == ours[1] == ours[2]
    assert ours[0].database_url == urls.catalogue
    assert ours[0].drift_threshold == 0.4
    assert ours[0].weeks.epoch.isoformat() == identity.week_epoch


def test_prefects_temporary_files_are_the_stacks_own(settings, identity, urls):
    assert prefect_environment(settings, identity, urls)["TMPDIR"] == str(settings.home.temporary)


def test_a_folder_with_a_space_is_the_folder_that_snapshots_go_to(identity, urls, tmp_path):
    settings = read_stack_settings({"STACK_HOME": str(tmp_path / "my stack")})
    uri = airflow_environment(settings, identity, urls)["SNAPSHOT_URI"]

    assert url_to_fs(uri)[1] == str(tmp_path / "my stack" / "snapshots")


def test_an_address_for_notifications_passes_only_if_there_is_one(settings, identity, urls):
    spoken = read_stack_settings({"DISCORD_WEBHOOK_URL": "http://127.0.0.1:9/hook"})

    assert "DISCORD_WEBHOOK_URL" not in airflow_environment(settings, identity, urls)
    assert airflow_environment(spoken, identity, urls)["DISCORD_WEBHOOK_URL"] == "http://127.0.0.1:9/hook"


def test_the_file_for_shells_survives_awkward_values(settings, identity, tmp_path):
    from stack.database import sqlite_urls

    folder = tmp_path / "it's a $HOME folder"
    exports = shell_exports(settings, identity, sqlite_urls(folder))

    assert read_exports(exports)["DATABASE_URL"] == f"sqlite:///{folder}/catalogue.sqlite"

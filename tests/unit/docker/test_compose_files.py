"""What must hold of every service, read off the compose files themselves."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from factory.settings import _VARIABLES, _WEEK_VARIABLES

CHECKOUT = Path(__file__).resolve().parents[3]
PREFECT, AIRFLOW = (
    yaml.safe_load((CHECKOUT / f"docker-compose.{side}.yml").read_text()) for side in ("prefect", "airflow")
)
SECRET = re.compile(r"\$\{(\w+):\?([^}]+)\}")
VARIABLE = re.compile(r"\$\{(\w+)[^}]*\}")
ONE_SHOT = {"prefect-deploy", "airflow-init"}


def services(compose: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from compose["services"].items()


def every_environment(compose: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for service, declared in services(compose):
        for name, value in declared.get("environment", {}).items():
            yield service, name, str(value)


def test_every_port_is_bound_to_loopback_and_can_be_moved(compose: dict[str, Any]) -> None:
    ports = [port for _, service in services(compose) for port in service.get("ports", [])]
    assert ports
    for port in ports:
        assert re.fullmatch(r"127\.0\.0\.1:\$\{[A-Z]+_PORT:-\d+\}:\d+", port), port


def test_no_secret_stands_in_the_file_and_a_missing_one_says_what_to_run(compose: dict[str, Any]) -> None:
    secrets = []
    for service, name, value in every_environment(compose):
        parts = [value] if re.search(r"PASSWORD$|SECRET|FERNET", name) else re.findall(r"://\w+:(.*?)@", value)
        parts += re.findall(r'"password": "(.*?)"', value)
        parts += re.findall(r"^prefect:(.*)$", value) if name.endswith("AUTH_STRING") else []
        for part in parts:
            found = SECRET.fullmatch(part)
            assert found, f"{service}: {name} is not a required variable"
            assert found[2] == "run make env"
            secrets.append(found[1])
    assert len(secrets) > 3


def test_make_env_gives_every_required_variable(compose: dict[str, Any], make_env: ModuleType) -> None:
    from datetime import UTC, datetime

    required = {name for _, _, value in every_environment(compose) for name, _ in SECRET.findall(value)}
    assert required <= make_env.new_values(datetime.now(UTC)).keys()


def test_make_env_gives_nothing_that_no_file_asks_for(make_env: ModuleType) -> None:
    asked = {
        name
        for file in (PREFECT, AIRFLOW)
        for _, _, value in every_environment(file)
        for name in VARIABLE.findall(value)
    }
    assert set(make_env.PASSWORDS) <= asked


def test_every_service_has_a_health_check_or_ends_by_itself(compose: dict[str, Any]) -> None:
    for name, service in services(compose):
        if name in ONE_SHOT:
            assert service["restart"] == "no"
        else:
            assert service["healthcheck"]["test"][0] == "CMD-SHELL", name
            assert service["restart"] == "unless-stopped", name


def test_a_service_may_take_minutes_to_come_up_and_is_called_unhealthy_soon_after_it_fell_ill(
    compose: dict[str, Any],
) -> None:
    checks = {name: service["healthcheck"] for name, service in services(compose) if name not in ONE_SHOT}
    for name, check in checks.items():
        assert check["start_period"] == "5m", name
        assert int(check["interval"].removesuffix("s")) * check["retries"] <= 15, name


def test_someone_waits_for_every_step_so_that_up_wait_counts_its_end_as_success(compose: dict[str, Any]) -> None:
    waited_for = {
        (other, condition["condition"])
        for _, service in services(compose)
        for other, condition in service.get("depends_on", {}).items()
    }
    for name in ONE_SHOT & compose["services"].keys():
        assert (name, "service_completed_successfully") in waited_for


def test_a_start_waits_for_health_or_completion_and_never_for_a_service_of_the_other_file(
    compose: dict[str, Any],
) -> None:
    for _, service in services(compose):
        for other, condition in service.get("depends_on", {}).items():
            assert condition["condition"] == (
                "service_completed_successfully" if other in ONE_SHOT else "service_healthy"
            )
            assert other in compose["services"]


def test_images_are_pinned(compose: dict[str, Any]) -> None:
    for name, service in services(compose):
        _, _, tag = service["image"].partition(":")
        assert re.match(r"\d", tag), f"{name} runs {service['image']}"


def test_an_image_is_built_once_for_all_services_that_run_it() -> None:
    for file in (PREFECT, AIRFLOW):
        assert len([name for name, service in services(file) if "build" in service]) == 1


def test_our_own_containers_have_no_privileges(compose: dict[str, Any]) -> None:
    for name, service in services(compose):
        if service["image"].startswith("model-factory/"):
            assert service["cap_drop"] == ["ALL"], name
            assert service["security_opt"] == ["no-new-privileges:true"], name


def test_both_files_are_one_project_on_one_network_with_the_same_snapshots() -> None:
    assert PREFECT["name"] == AIRFLOW["name"]
    assert PREFECT["networks"] == AIRFLOW["networks"]
    assert PREFECT["volumes"]["snapshots"] == AIRFLOW["volumes"]["snapshots"]
    assert not PREFECT["services"].keys() & AIRFLOW["services"].keys()
    mounted = "snapshots:/srv/snapshots"
    assert mounted in PREFECT["services"]["prefect-worker"]["volumes"]
    assert mounted in AIRFLOW["services"]["airflow-scheduler"]["volumes"]


def test_both_sides_read_the_same_factory_settings_and_every_one_can_be_set() -> None:
    assert PREFECT["x-factory"] == AIRFLOW["x-factory"]
    assert {*_VARIABLES.values(), *_WEEK_VARIABLES.values(), "DATABASE_URL"} <= PREFECT["x-factory"].keys()
    for service, file in (("prefect-worker", PREFECT), ("airflow-scheduler", AIRFLOW)):
        assert file["x-factory"].items() <= file["services"][service]["environment"].items()


def test_every_service_that_reads_own_settings_of_use_cases_has_the_file(compose: dict[str, Any]) -> None:
    path = compose["x-factory"]["USE_CASE_SETTINGS"]
    default = re.fullmatch(r"\$\{USE_CASE_SETTINGS:-(.*)\}", compose["configs"]["use-cases"]["file"])
    assert default
    assert tomllib.loads((CHECKOUT / default[1]).read_text()) == {}
    readers = [name for name, service in services(compose) if "USE_CASE_SETTINGS" in service.get("environment", {})]
    assert readers
    for name in readers:
        assert compose["services"][name]["configs"] == [{"source": "use-cases", "target": path}], name


def test_telemetry_is_off_in_every_service_of_ours(compose: dict[str, Any]) -> None:
    for name, service in services(compose):
        if service["image"].startswith("model-factory/"):
            assert compose["x-quiet"].items() <= service["environment"].items(), name


def test_the_connection_to_prefect_is_json_with_the_address_that_people_open() -> None:
    text = AIRFLOW["services"]["airflow-scheduler"]["environment"]["AIRFLOW_CONN_PREFECT_DEFAULT"]
    connection = json.loads(text)
    assert connection["conn_type"] == "prefect"
    assert connection["host"] == PREFECT["x-prefect"]["PREFECT_API_URL"]
    assert connection["extra"]["ui_url"] == PREFECT["x-factory"]["PREFECT_UI_URL"]


def test_prefects_web_interface_has_a_folder_that_its_user_may_write() -> None:
    # The packages belong to root: beside them, its default, Prefect cannot lay out its pages, yet calls itself healthy.
    environment = PREFECT["services"]["prefect-server"]["environment"]
    assert environment["PREFECT_SERVER_UI_STATIC_DIRECTORY"].startswith("/home/factory/")


def test_plugins_reach_the_airflow_image_once_there_are_any() -> None:
    copied = "COPY plugins plugins" in (CHECKOUT / "docker" / "Dockerfile.airflow").read_text()
    assert copied == any((CHECKOUT / "plugins").glob("**/*.py"))


@pytest.mark.parametrize("side", ["airflow", "prefect"])
class TestDockerfile:
    def read(self, side: str) -> str:
        return (CHECKOUT / "docker" / f"Dockerfile.{side}").read_text()

    def test_ends_as_a_user_without_rights_on_a_pinned_base(self, side: str) -> None:
        text = self.read(side)
        assert re.findall(r"(?m)^USER (.*)$", text) == ["factory"]
        assert set(re.findall(r"(?m)^FROM (\S+)", text)) == {"python:3.11-slim-bookworm"}

    def test_installs_with_hashes_alone_and_takes_no_secret(self, side: str) -> None:
        text = self.read(side)
        assert len(re.findall(r"(pip install|pip sync) .*--require-hashes", text)) == 2
        assert not re.search(r"(?mi)^ARG |--mount=|password|secret", text)

    def copied(self, side: str) -> list[str]:
        lines = re.findall(r"(?m)^COPY (?!--from)(.*) \S+$", self.read(side))
        return [source for line in lines for source in line.split()]

    def test_copies_the_files_without_which_the_project_cannot_be_installed(self, side: str) -> None:
        project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
        for needed in ("pyproject.toml", project["readme"], *project["license-files"]):
            assert {needed, needed.split("/")[0]} & set(self.copied(side)), needed

    def test_copies_what_is_there_and_what_the_build_may_see(self, side: str) -> None:
        allowed = {line[1:] for line in (CHECKOUT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
        copied = self.copied(side)
        assert copied
        for source in copied:
            assert (CHECKOUT / source).exists(), source
            assert source.split("/")[0] in allowed, source

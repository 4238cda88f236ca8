# Two commands matter: `make demo` and `make test`. `make help` lists the others.
.DEFAULT_GOAL := help
.PHONY: help python installed install install-test demo up down shell status logs test test-all test-backfill test-browser test-docs test-busy test-faults test-flows test-identity test-kills test-many test-matrix test-model test-s3 test-sqlite test-use-cases test-wheel bench-control-page bench-cycle bench-dataset bench-deals bench-drift bench-gate bench-numbers bench-songs bench-tables bench-task-end bench-training bench-waits pictures lint env lock wheel clean

PYTHON ?= python3
export PYTHON
ML := .venv-ml/bin
AIRFLOW := .venv-airflow/bin
UV := .venv-tools/bin/uv
BROWSER := .venv-browser/bin
STACK := exec $(ML)/python -m stack

# Telemetry is off in everything that is started from here.
export DO_NOT_TRACK := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export MLFLOW_DISABLE_TELEMETRY := true

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1|/' | awk -F'|' '{printf "  make %-13s %s\n", $$1, $$2}'
	@echo
	@echo "  PYTHON=python3.11           the Python to install with (3.11, 3.12 or 3.13)"
	@echo "  USE_CASE=products           whose periods a demo runs: products, churn, deals, market, songs or all"
	@echo "  FLOWS=served                flow runs are forked from a warm process; worker: a new Python each"
	@echo "  FLOW_RUNS=2                 so many flow runs at once; as many as processors when not given"
	@echo "  DATABASE=embedded           or sqlite, or postgresql://user:password@host:5432/postgres"
	@echo "  PREFECT_PORT=4200 MLFLOW_PORT=5000 AIRFLOW_PORT=8080; FREE_PORTS=1 takes whatever is free"
	@echo "  STACK_HOME=.stack           where databases, logs and files lie; a second folder is a second stack"
	@echo "  AIRFLOW_SCHEDULE=none       a cron expression lets the weekly DAG run by itself"
	@echo "  DISCORD_WEBHOOK_URL=        where notifications go (NOTIFY_EMAIL_TO, ...: docs/how-to/notify.md); else they are logged"

python:
	@command -v "$$PYTHON" >/dev/null || { echo "install: there is no $$PYTHON; install Python 3.11, 3.12 or 3.13, or name one: make PYTHON=..." >&2; exit 1; }

install: python ## install both environments (nothing, when they are as the requirements say)
	@exec "$$PYTHON" stack/install.py run

install-test: python
	@exec "$$PYTHON" stack/install.py test

demo: install ## run three weeks on the real stack; a running stack is used and stays (ONCE=1: stop and exit at the end)
	@$(STACK) demo

up: install ## start the stack and leave it running
	@$(STACK) up

down: installed ## end the stack, and whatever an earlier one left behind
	@$(STACK) down

shell: installed ## a shell in which bridge, prefect, mlflow, airflow and python are those of the stack
	@$(STACK) shell

status: installed ## services with state, memory, CPU and address
	@$(STACK) status

logs: installed ## the services' logs (SERVICE=mlflow for one)
	@$(STACK) logs $(if $(SERVICE),"$$SERVICE")

installed:
	@[ -x $(ML)/python ] || { echo "nothing is installed here yet: make install" >&2; exit 1; }

test: install-test ## every test but the long ones, in lanes side by side (LANES="contract faults": these)
	@exec $(ML)/python -m tests.suite $$LANES

test-all: test test-flows test-use-cases test-backfill test-docs test-sqlite test-s3 test-many test-identity test-wheel test-model test-faults test-kills test-browser test-matrix ## every test there is

test-busy: install-test ## the tests three times, beside a busy loop on every core (TIMES=3)
	@exec $(ML)/python -m tests.suite --busy "$${TIMES:-3}" $$LANES

test-flows: install-test ## flows one by one on a real Prefect: what they decide, write, refuse and survive; how they are deployed and served (10 minutes)
	$(ML)/python -m pytest tests/prefect/test_announcements.py tests/prefect/test_deployments.py tests/prefect/test_explanation.py \
		tests/prefect/test_killed_runs.py tests/prefect/test_lineage.py \
		tests/prefect/test_promotion_commits.py tests/prefect/test_scoring_and_monitoring.py tests/prefect/test_serving.py \
		tests/prefect/test_training.py

test-use-cases: install-test ## periods of every other kind of use case through a real Prefect (5 minutes)
	$(ML)/python -m pytest tests/prefect/use_cases

test-docs: install-test ## every command of README.md and docs/ as it is written, on a stack after two weeks (7 minutes)
	$(ML)/python -m pytest tests/e2e/test_documented_commands.py tests/prefect/test_how_to_add_a_use_case.py

test-backfill: install-test ## three weeks by `airflow backfill`, beside the same weeks run in time (12 minutes)
	$(ML)/python -m pytest tests/e2e/test_backfill.py tests/prefect/test_late_weeks.py

test-kills: install-test ## every use case side by side while the stack's services are killed in turn (25 minutes)
	$(ML)/python -m pytest tests/e2e/test_killed_services.py

test-s3: install-test ## a week whose files lie in a store that speaks S3
	$(ML)/python -m pytest tests/prefect/test_week_on_s3.py

test-identity: install-test ## whose run it is when people clear, fail and change tasks and DAGs in a real Airflow (6 minutes)
	$(AIRFLOW)/python -m pytest tests/airflow/test_identity_in_airflow.py

test-many: install-test ## five hundred mapped members at once, on a Prefect with SQLite
	$(AIRFLOW)/python -m pytest tests/airflow/test_many_members.py

test-sqlite: install-test ## a week through the whole stack without PostgreSQL, served and by a worker
	$(ML)/python -m pytest tests/e2e/test_sqlite.py tests/prefect/test_worker.py

$(BROWSER)/pytest: requirements/browser.txt
	@"$$PYTHON" stack/install.py tools
	$(UV) venv --quiet --allow-existing --python "$$PYTHON" .venv-browser
	$(UV) pip sync --quiet --require-hashes --python $(BROWSER)/python requirements/browser.txt
	@touch $@

test-browser: install $(BROWSER)/pytest ## the control page in Chromium over the whole stack and in every state (10 minutes; CHROMIUM=path of the browser)
	$(BROWSER)/python -m pytest tests/browser

pictures: install $(BROWSER)/pytest ## take the pictures of docs/pictures/control-page anew (5 minutes)
	$(BROWSER)/python -m pytest tests/browser --pictures docs/pictures/control-page

test-faults: install-test ## 180 seeded fault runs of the bridge, 20 through Airflow (25 minutes; START=seed: fresh ones; RESUME=file: go on there)
	$(AIRFLOW)/python -m tests.faults.run --count 180 $(if $(START),--start "$$START") $(if $(RESUME),--resume "$$RESUME")
	$(AIRFLOW)/python -m tests.faults.through_airflow --count 20 $(if $(START),--start "$$START") $(if $(RESUME),--resume "$$RESUME.airflow")

test-wheel: install-test ## the wheel, in a new environment with Airflow alone, against a real Prefect
	@"$$PYTHON" stack/install.py tools
	$(ML)/python -m pytest tests/wheel

test-matrix: install-test ## each supported Airflow, Prefect and Python, one after the other (30 minutes; ONLY=airflow-3.2: such alone)
	@"$$PYTHON" stack/install.py tools
	@$(ML)/python -m tests.matrix.run $(if $(ONLY),$$(printf " --only %s" $$ONLY))

test-model: install-test ## a trained model, in a new environment with its own requirements alone
	@"$$PYTHON" stack/install.py tools
	$(ML)/python -m pytest tests/model

bench-dataset: install-test ## loading, cutting and checking beside pandas, at 84,916 and 1 million products (8 minutes; ROWS=10000000: 45)
	@exec $(ML)/python -m benchmarks.dataset $(if $(ROWS),--rows "$$ROWS")

bench-deals: install-test ## a forecast of opportunities by time and in folds (2 minutes; MAVEN=folder: of the Maven files)
	@exec $(ML)/python -m benchmarks.deals $(if $(MAVEN),--maven "$$MAVEN")

bench-drift: install-test ## is drift found in its week, are quiet weeks left alone, what does a million cost (15 minutes; PRICERUNNER=file: real offers too)
	@exec $(ML)/python -m benchmarks.monitoring $(if $(PRICERUNNER),--offers "$$PRICERUNNER")

bench-control-page: install-test ## what the control page costs Prefect and its viewers at 10,000 runs (4 minutes)
	@exec $(AIRFLOW)/python -m benchmarks.control_page

bench-gate: install-test ## how often the promotion's gate errs, beside the textbook's rule, at 2 to 1,000 classes (5 minutes)
	@exec $(ML)/python -m benchmarks.gate $(if $(PAIRS),--pairs $(PAIRS))

bench-numbers: install-test ## a training of products in every digit, to compare before and after a change (2 minutes; PRICERUNNER=file: its offers too)
	@exec $(ML)/python -m benchmarks.numbers $(if $(PRICERUNNER),--offers "$$PRICERUNNER")

bench-songs: install-test ## the five models of songs alone, one after another and side by side (5 minutes)
	@exec $(ML)/python -m benchmarks.songs

bench-tables: install-test ## the candidates for tables in five folds, beside the common recipes (1 minute; TELCO=file: the Telco layout too)
	@exec $(ML)/python -m benchmarks.tables $(if $(TELCO),--telco "$$TELCO")

bench-task-end: install-test ## from a flow run's end to its task's end, beside polling (6 minutes)
	@exec $(ML)/python -m benchmarks.task_end

bench-waits: install-test ## what waiting for flow runs costs, beside polling and Prefect's own (35 minutes; QUICK=1: a try)
	@exec $(ML)/python -m benchmarks.waits

bench-training: install-test ## a training at 84,916 rows beside the common recipe (5 minutes; PRICERUNNER=file: real offers too)
	@exec $(ML)/python -m benchmarks.training
	$(if $(PRICERUNNER),@$(ML)/python -m benchmarks.training --pricerunner "$$PRICERUNNER")

bench-cycle: install-test ## a period through Airflow and Prefect, beside the same work in one script; a row a use case (30 minutes)
	@$(ML)/python -m benchmarks.cycle
	@$(ML)/python -m benchmarks.cycle --each

lint: install-test ## ruff, mypy and the import rules
	$(ML)/ruff check .
	$(ML)/ruff format --check .
	$(ML)/mypy
	$(ML)/mypy --python-executable $(AIRFLOW)/python -p bridge -p plugins -p dags
	$(ML)/lint-imports

env: python ## write .env with random secrets for docker compose
	@exec "$$PYTHON" docker/make_env.py

lock: python ## resolve pyproject.toml anew and export requirements/*.txt
	@"$$PYTHON" stack/install.py tools
	@exec sh stack/lock.sh $(UV)

wheel: python ## build the wheel of the bridge into dist/
	@"$$PYTHON" stack/install.py tools
	$(UV) build --wheel

clean: python ## end the stack, then remove it, environments and caches (a folder that no stack made is left alone)
	@exec "$$PYTHON" stack/clean.py

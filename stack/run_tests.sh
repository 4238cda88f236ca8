#!/bin/sh
# Every folder of tests in the environment it belongs to. A folder that is not there is left out; a run without a test
# fails (pytest's exit code 5).
set -u
failed=

run() {
    environment=$1
    shift
    folders=
    for folder in "$@"; do
        if [ -d "tests/$folder" ]; then folders="$folders tests/$folder"; fi
    done
    if [ -z "$folders" ]; then
        echo "== $environment: none of $* is there, so no test runs" >&2
        failed="$failed $environment"
        return
    fi
    echo "== $environment:$folders"
    # shellcheck disable=SC2086 # folders are meant as several words
    "$environment/bin/python" -m pytest $folders || failed="$failed $environment"
}

run .venv-airflow unit/bridge airflow contract
run .venv-ml unit/factory unit/flows unit/stack unit/docker prefect e2e

if [ -n "$failed" ]; then
    echo "== failed in:$failed" >&2
    exit 1
fi
echo "== every test passed"

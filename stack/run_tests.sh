#!/bin/sh
# Every test in the environment it belongs to: the bridge's in Airflow's, the others in Prefect's. Two lanes run side by
# side, because most of a test with real services is waiting; the second lane's output is shown when it has ended.
# A run that collects no test fails (pytest's exit code 5). Hypothesis tries the same examples in every run (its profile
# "ci"): a run says whether this code is sound, not how lucky it was. pytest called by itself tries new ones. Every run
# has a folder of its own: in the common one of root a pytest that begins shuts the others' PostgreSQL out.
set -u
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT

run() {
    environment=$1
    shift
    echo "== $environment: $*"
    # shellcheck disable=SC2046 # folders are meant as several words
    "$environment/bin/python" -m pytest --hypothesis-profile=ci --basetemp="$(mktemp -d "$results/XXXXXX")" \
        $(printf 'tests/%s ' "$@") || echo "$environment: $*" >>"$results/failed"
}

airflow_lane() {
    run .venv-airflow unit/isolation airflow
}

other_lane() {
    run .venv-ml unit/factory unit/flows unit/stack unit/docker unit/isolation prefect
    run .venv-airflow unit/bridge unit/plugins contract faults
    run .venv-ml e2e
}

airflow_lane >"$results/airflow_lane" 2>&1 &
other_lane
wait
cat "$results/airflow_lane"

if [ -s "$results/failed" ]; then
    sed 's/^/== failed: /' "$results/failed" >&2
    exit 1
fi
echo "== every test passed"

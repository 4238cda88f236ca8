#!/bin/sh
# Resolves pyproject.toml and exports one hashed file an environment. uv.lock bears registry addresses, so it is not
# kept; the exported files must bear none.
set -eu
uv=$1

export_groups() {
    name=$1
    shift
    "$uv" export --quiet --no-default-groups --no-emit-project --no-header "$@" --output-file "requirements/$name.txt"
}

"$uv" lock --quiet --upgrade
export_groups airflow --group airflow
export_groups airflow-test --group airflow --group test
export_groups ml --group ml
export_groups ml-test --group ml --group test --group lint --group s3
for name in browser tools; do
    "$uv" export --quiet --only-group "$name" --no-emit-project --no-header --output-file "requirements/$name.txt"
done

if grep -n "://" requirements/*.txt; then
    echo "lock: these lines bear an address; requirements must not" >&2
    exit 1
fi
wc -l requirements/*.txt

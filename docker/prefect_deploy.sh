#!/bin/sh
# The step between Prefect's server and its worker: the work pool, then every deployment of prefect.yaml.
# A pool that is there is left as it is, and so is what people decided of a deployment: they may have changed it.
set -eu
pool=models
prefect work-pool inspect "$pool" >/dev/null 2>&1 || prefect work-pool create --type process "$pool"
exec python -m flows.deploying

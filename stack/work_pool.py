"""The step that makes sure of Prefect's work pool, before worker and deployments ask for it.

A plain REST call: Prefect's own command line needs two seconds to say the same. Standard library alone.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request

from stack.prefect_api import PrefectApi

PRESENT = 409


def create_work_pool(prefect: PrefectApi, name: str) -> None:
    """Create a pool of type `process` unless it is there; its worker fills in the job template.

    Raises urllib.error.HTTPError when the server refuses for another reason.
    """
    request = urllib.request.Request(  # noqa: S310 - the address is our own server's
        f"{prefect.url}/work_pools/",
        data=json.dumps({"name": name, "type": "process"}).encode(),
        headers={"Content-Type": "application/json", **prefect.headers},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(request, timeout=10).close()
    except urllib.error.HTTPError as error:
        if error.code != PRESENT:
            raise


if __name__ == "__main__":
    create_work_pool(PrefectApi.named_in(os.environ), sys.argv[1])

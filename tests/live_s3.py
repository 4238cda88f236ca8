"""A real server of the S3 protocol for tests, moto's, on loopback; it is in Prefect's environment alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

BUCKET = "store"


@contextmanager
def live_s3() -> Iterator[dict[str, str]]:
    """What a process' environment has to say to find the server, which has one empty bucket; ended with the block.

    fsspec keeps its filesystems by their address, which does not tell the endpoint: they are forgotten on both sides.
    """
    import boto3
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer
    from s3fs import S3FileSystem

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        access = {"aws_access_key_id": "tests", "aws_secret_access_key": "tests"}
        found = {
            **{name.upper(): value for name, value in access.items()},
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "MLFLOW_S3_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        client = boto3.client("s3", endpoint_url=found["AWS_ENDPOINT_URL"], region_name="us-east-1", **access)
        client.create_bucket(Bucket=BUCKET)
        S3FileSystem.clear_instance_cache()
        yield found
    finally:
        server.stop()
        S3FileSystem.clear_instance_cache()

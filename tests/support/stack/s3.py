"""Run an S3 server in the cluster, with buckets, audio and the test model."""

import string
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from tests.support.stack.images import S3, ensure_image
from tests.support.stack.kube import apply, kubectl, port_forward

# The credentials of a server that lives as long as the test cluster.
ACCESS_KEY, SECRET_KEY = "demo-access-key", "demo-secret-key"
ENDPOINT = "http://s3.storage.svc:7070"
BUCKETS = ("audio", "models", "transcripts")
MODEL_KEY = "testmodel.pt"
# The name of the Secret with the server's credentials, in each namespace that has jobs.
CREDENTIALS = "s3-credentials"


def ensure_s3() -> None:
    """Ensure that the server is ready."""
    manifest = string.Template(Path(__file__).with_name("s3.yaml").read_text())
    apply(manifest.substitute(ACCESS_KEY=ACCESS_KEY, SECRET_KEY=SECRET_KEY, S3_IMAGE=ensure_image(S3)))
    kubectl("rollout", "status", "-n", "storage", "deployment/s3", "--timeout=120s")


def ensure_credentials(namespace: str) -> None:
    """Ensure the Secret that the specs of this namespace name."""
    apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": CREDENTIALS, "namespace": namespace},
            "stringData": {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY},
        }
    )


@contextmanager
def connect() -> Iterator[Any]:
    """Yield a boto3 client through a port of the server's pod, so that it works while a test has removed the Service."""
    with port_forward("deployment/s3", "storage", 7070) as port:
        client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{port}",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}, retries={"mode": "standard", "max_attempts": 5}),
        )
        try:
            yield client
        finally:
            client.close()


def ensure_buckets(client: Any) -> None:
    """Ensure every bucket of BUCKETS."""
    present = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
    for name in set(BUCKETS) - present:
        client.create_bucket(Bucket=name)


def s3_object(bucket: str, **location: str) -> dict[str, Any]:
    """Return the s3 field of a source, destination or model."""
    return {
        "bucket": bucket,
        **location,
        "endpointURL": ENDPOINT,
        "region": "us-east-1",
        "pathStyle": True,
        "credentialsSecretRef": {"name": CREDENTIALS},
    }

"""Run a real S3 server for tests on a free port of the loopback interface: versitygw over a folder, or a subclass's."""

import functools
import json
import os
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import botocore.loaders
import botocore.session
import trustme
from botocore.config import Config

from tests.support.binaries import binaries

ACCESS_KEY = "tester"
# The key also serves as the canary, which must never show up in a log, a report or a status.
SECRET_KEY = "canary-5f0e7d1c2b"
REGION = "us-east-1"
START_SECONDS = 20.0


def versitygw() -> Path:
    """Return the pinned server's binary, built on first use."""
    return binaries("versitygw") / "versitygw"


class S3Server:
    """An S3 server whose buckets are folders below `folder`. Every request leaves a line in the access log.

    With `tls` it speaks https, with a certificate of an authority of its own, whose certificate is the file `certificate`.
    """

    name = "versitygw"
    # Of the administrator.
    access_key, secret_key = ACCESS_KEY, SECRET_KEY

    def __init__(self, folder: Path, tls: bool = False) -> None:
        self._data = folder / "buckets"
        self._data.mkdir(parents=True)
        self._users = folder / "users"
        self._users.mkdir()
        self._versions = folder / "versions"
        self._versions.mkdir()
        self._log = folder / "access.log"
        self._output = folder / "output.log"
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.tls = tls
        self.certificate = folder / "certificate.pem"
        self._key = folder / "key.pem"
        if tls:
            self._sign()

    @property
    def folder(self) -> Path:
        return self._data

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def _sign(self) -> None:
        authority = trustme.CA()
        issued = authority.issue_cert("127.0.0.1")
        authority.cert_pem.write_to_path(str(self.certificate))
        issued.private_key_and_cert_chain_pem.write_to_path(str(self._key))

    def start(self) -> None:
        """Start the server and wait until it answers."""
        with self._output.open("ab") as output:
            environment = os.environ | self._environment()
            self._process = subprocess.Popen(self._command(), stdout=output, stderr=output, env=environment)
        self._wait()

    def _command(self) -> list[str | Path]:
        command: list[str | Path] = [versitygw(), "--port", f"127.0.0.1:{self.port}", "--region", REGION]
        command += ["--access", ACCESS_KEY, "--secret", SECRET_KEY]
        command += ["--iam-dir", self._users, "--iam-cache-disable", "--access-log", self._log]
        command += ["--cert", self._key, "--key", self._key] if self.tls else []
        return [*command, "posix", "--versioning-dir", self._versions, self._data]

    def _environment(self) -> dict[str, str]:
        return {}

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _wait(self) -> None:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if self._answers():
                return
            time.sleep(0.05)
        raise RuntimeError(f"{self.name} does not answer on {self.url}: {self._output.read_text()[-2000:]}")

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def client(self, access_key: str = ACCESS_KEY, secret_key: str = SECRET_KEY) -> Any:
        """Return a boto3 client, by default of the administrator."""
        session = botocore.session.get_session()
        session.register_component("data_loader", _loader())
        return boto3.session.Session(botocore_session=session).client(
            "s3",
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            config=Config(s3={"addressing_style": "path"}),
            verify=str(self.certificate) if self.tls else None,
        )

    def stranger(self) -> tuple[str, str]:
        """Add a user who may do nothing, and return the access key and the secret key."""
        user, secret = f"user-{uuid.uuid4().hex[:8]}", "user-key"
        admin: list[str | Path] = [versitygw(), "admin", "--access", ACCESS_KEY, "--secret", SECRET_KEY]
        admin += ["--endpoint-url", self.url, "--region", REGION]
        create = ["create-user", "--access", user, "--secret", secret, "--role", "user"]
        subprocess.run([*admin, *create], check=True, stdout=subprocess.DEVNULL)
        return user, secret

    def restricted_user(self, bucket: str, actions: list[str]) -> tuple[str, str]:
        """Add a user who may do these things alone in the bucket, and return the access key and the secret key."""
        user, secret = self.stranger()
        policy = json.dumps(policy_of(bucket, actions, {"Principal": user}))
        self.client().put_bucket_policy(Bucket=bucket, Policy=policy)
        return user, secret

    def requests(self) -> list[str]:
        """Return the lines of the access log so far."""
        return self._log.read_text().splitlines() if self._log.exists() else []


def policy_of(bucket: str, actions: list[str], principal: dict[str, str]) -> dict[str, Any]:
    """Return a policy that allows these actions in the bucket and on its objects, to whom `principal` says or to its owner."""
    of_the_bucket = [action for action in actions if action.startswith("s3:List")]
    of_objects = [action for action in actions if action not in of_the_bucket]
    statements = [
        {"Effect": "Allow", "Action": allowed, "Resource": f"arn:aws:s3:::{bucket}{below}"} | principal
        for allowed, below in ((of_objects, "/*"), (of_the_bucket, ""))
        if allowed
    ]
    return {"Version": "2012-10-17", "Statement": statements}


@functools.cache
def _loader() -> Any:
    """Return the loader of botocore's descriptions of services, which take 0.3 s to read."""
    return botocore.loaders.create_loader()


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def s3_server(folder: Path, tls: bool = False) -> Iterator[S3Server]:
    """Run a server for the block."""
    server = S3Server(folder, tls)
    server.start()
    try:
        yield server
    finally:
        server.stop()

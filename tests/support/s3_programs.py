"""Install S3 servers that only some tests run, at the versions in hack/versions.env, from package registries.

Each is installed once, in the project's cache.
"""

import os
import subprocess
from functools import cache
from pathlib import Path

from hack.cluster import store

# s3proxy's own choice of annotations is older than its Jackson needs.
S3PROXY_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>test</groupId><artifactId>test</artifactId><version>1</version>
<dependencies><dependency><groupId>org.gaul</groupId><artifactId>s3proxy</artifactId><version>{}</version></dependency>
<dependency><groupId>com.fasterxml.jackson.core</groupId><artifactId>jackson-annotations</artifactId><version>2.21</version>
</dependency></dependencies></project>
"""


def _version(name: str) -> str:
    return store.versions()[name]


@cache
def python_program(package: str, version: str, program: str, extras: str = "") -> Path:
    """Return a program of a Python package, which is installed with uv in an environment of its own.

    `version` is the name of the package's version in hack/versions.env.
    """
    folder = store.cache() / "s3-servers" / f"{package}-{_version(version)}"
    with store.lock():
        if not (folder / program).exists():
            environment = os.environ | {"UV_TOOL_DIR": str(folder / "tools"), "UV_TOOL_BIN_DIR": str(folder)}
            _run(["uv", "tool", "install", "--quiet", f"{package}{extras}=={_version(version)}"], environment)
    return folder / program


@cache
def s3proxy_classpath() -> str:
    """Return Java's class path with s3proxy and all that it needs, which Maven has fetched."""
    folder = store.cache() / "s3-servers" / f"s3proxy-{_version('S3PROXY')}"
    with store.lock():
        if not (folder / "complete").exists():
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "pom.xml").write_text(S3PROXY_POM.format(_version("S3PROXY")))
            goal = "org.apache.maven.plugins:maven-dependency-plugin:3.9.0:copy-dependencies"
            words = ["mvn", "-q", "-B", "-f", str(folder / "pom.xml"), goal, f"-DoutputDirectory={folder / 'lib'}"]
            _run(words, dict(os.environ))
            (folder / "complete").touch()
    return f"{folder / 'lib'}/*"


def _run(command: list[str], environment: dict[str, str]) -> None:
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)

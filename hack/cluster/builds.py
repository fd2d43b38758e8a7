"""Build the project's own images, reaching the package registries as this machine does.

The machine's settings go in as build secrets, and its proxies as BuildKit's predefined arguments. Neither is kept in
an image. A Dockerfile that installs Python packages mounts the secrets where its client looks for them:

    RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=uv.toml,target=/etc/uv/uv.toml ...

On a machine that needs no settings the mounts are empty.
"""

import configparser
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from hack.cluster import engine, gobuild, images, store
from hack.cluster.stages import StageError, output, say, stage

PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")
PIP_FILES = (Path("/etc/pip.conf"), Path("~/.pip/pip.conf"), Path("~/.config/pip/pip.conf"))  # later ones win
UV_FILES = (Path("~/.config/uv/uv.toml"), Path("/etc/uv/uv.toml"))  # the first one wins
PIP_SETTINGS = ("index-url", "extra-index-url", "trusted-host")  # others name this machine's files
REPOSITORY = "transcription-testbed"
# Where the programs' own charts call them; others are on PATH.
IMAGE_PATHS = {"kueue": "/manager"}
BUILD_CACHE = "10GB"  # one build of the worker's layers takes 6


def pip_settings(environ: Mapping[str, str], files: tuple[Path, ...] = PIP_FILES) -> dict[str, str]:
    """Return the package indexes that this machine's pip uses, from its files and then its environment."""
    parser = configparser.RawConfigParser()
    parser.read([path.expanduser() for path in files])
    found = dict(parser["global"]) if parser.has_section("global") else {}
    for name in PIP_SETTINGS:
        value = environ.get("PIP_" + name.upper().replace("-", "_"))
        if value:
            found[name] = value
    return {name: found[name] for name in PIP_SETTINGS if name in found}


def secrets_of(
    environ: Mapping[str, str],
    own_cas: bool,
    pip_files: tuple[Path, ...] = PIP_FILES,
    uv_files: tuple[Path, ...] = UV_FILES,
) -> dict[str, str]:
    """Return the build secrets by id: pip.conf and uv.toml, if a build on this machine needs them.

    With `own_cas` the base image carries CAs of the machine; uv, unlike pip, uses the system's only when told to.
    """
    pip = pip_settings(environ, pip_files)
    found = {}
    if pip:
        found["pip.conf"] = "[global]\n" + "".join(f"{name} = {value}\n" for name, value in pip.items())
    uv_file = next((path.expanduser() for path in uv_files if path.expanduser().exists()), None)
    index = environ.get("UV_DEFAULT_INDEX") or environ.get("UV_INDEX_URL") or pip.get("index-url")
    uv = "system-certs = true\n" if own_cas else ""
    if uv_file:
        uv = uv_file.read_text()
    elif index:
        uv += f'[[index]]\nurl = "{index}"\ndefault = true\n'
    if uv:
        found["uv.toml"] = uv
    return found


def proxy_arguments(environ: Mapping[str, str]) -> list[str]:
    """Return --build-arg options for the proxies that are set; BuildKit keeps these out of the image."""
    names = [name for proxy in PROXIES for name in (proxy, proxy.upper()) if environ.get(name)]
    return [word for name in names for word in ("--build-arg", name)]


def build_image(tag: str, dockerfile: Path, options: list[str]) -> None:
    """Build `dockerfile` in its own folder as `tag`. Raises StageError with the end of docker's log."""
    if not dockerfile.is_file():
        raise StageError(f"no Dockerfile at {dockerfile}")
    with store.lock():
        engine.ensure()
        images.ensure_base()
    log = store.log("build-" + re.sub(r"\W+", "-", tag))
    with tempfile.TemporaryDirectory() as folder, stage(f"image {tag} from {dockerfile}"):
        words = [*options, "--label", f"{images.LABEL}=image", *proxy_arguments(os.environ)]
        for name, text in secrets_of(os.environ, bool(images.machine_cas())).items():
            path = Path(folder, name)
            path.write_text(text)
            words += ["--secret", f"id={name},src={path}"]
        images.build(
            tag, dockerfile.resolve().parent, log, *words, dockerfile=_with_machine_cas(dockerfile, Path(folder))
        )
    say(f"   {output(['docker', 'image', 'inspect', '-f', '{{.Size}}', tag]).strip()} bytes")
    images.remove_superseded(tag.partition(":")[0], tag)
    if engine.is_ours():
        _trim_build_cache()


def _trim_build_cache() -> None:
    try:
        output([engine.builder(), "builder", "prune", "--force", "--keep-storage", BUILD_CACHE], timeout=300)
    except StageError as error:
        say(f"   the build cache was not trimmed: {error}")  # the image is there all the same


def _with_machine_cas(dockerfile: Path, folder: Path) -> Path:
    """Return the Dockerfile to use. If the base image is pulled and the machine has its own CAs, it is based on both."""
    if not (images.can_pull() and images.machine_cas()):
        return dockerfile
    base = images.base_name()
    context = folder / "base"
    context.mkdir()
    for path in images.machine_cas():
        shutil.copy(path, context)
    (context / "Dockerfile").write_text(f"FROM {base}\nCOPY *.crt /usr/local/share/ca-certificates/\n")
    images.build(f"{REPOSITORY}/base", context, store.log("base"), "--label", f"{images.LABEL}=base")
    rewritten = folder / dockerfile.name
    rewritten.write_text(rebased(dockerfile.read_text(), base, f"{REPOSITORY}/base"))
    ignore = dockerfile.with_name(dockerfile.name + ".dockerignore")
    if ignore.exists():
        shutil.copy(ignore, folder)
    return rewritten


def rebased(dockerfile: str, base: str, other: str) -> str:
    """Return the Dockerfile's text with each stage FROM `base` made FROM `other`."""
    return re.sub(
        rf"^(FROM\s+(?:--\S+\s+)*){re.escape(base)}(?=\s|$)",
        rf"\g<1>{other}",
        dockerfile,
        flags=re.MULTILINE | re.IGNORECASE,
    )


def image_path(name: str) -> str:
    """Return where the image of a binary has it."""
    return IMAGE_PATHS.get(name, f"/usr/local/bin/{name}")


def binary_image(name: str) -> str:
    """Return the tag of an image of one cached static binary, which is built if it is missing."""
    with store.lock():
        engine.ensure()
        folder, versions = gobuild.ensure([name]), store.versions()
        key = gobuild.wanted_key(name, versions)
        tag = f"{REPOSITORY}/{name}:{key}"
        if images.label_of(tag) is None:
            with stage(f"image {tag}"):
                images.single_file(tag, folder / name, image_path(name), store.log("binary-image"))
            images.remove_superseded(f"{REPOSITORY}/{name}", tag)
    return tag

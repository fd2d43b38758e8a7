"""Pull images, or build them from package registries if they can't be pulled."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from hack.cluster import engine, gobuild, store
from hack.cluster.stages import StageError, output, run, stage

LABEL = "transcription.dev/testbed"  # on every image made here; its value is the key of its inputs
NODE = "transcription-testbed/node"
REGISTRY = "registry.k8s.io"
PULL_PROBE_SECONDS = 60  # for an image of 30 MB; a "no" comes at once
PULL_SECONDS = 1200
MACHINE_CAS = Path("/usr/local/share/ca-certificates")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

# what debian:trixie-slim leaves out too
SLIM = (
    "var/cache/apt/archives/*.deb var/lib/apt/lists/* var/log/* "
    "usr/share/doc/* usr/share/man/* usr/share/locale/* usr/share/info/*"
).split()


def base_name() -> str:
    return f"debian:{store.versions()['DEBIAN_SUITE']}-slim"


def label_of(image: str) -> str | None:
    """Return the key of an image made here, "" for an image from elsewhere, or None if there is no such image."""
    template = '{{with .Config.Labels}}{{index . "' + LABEL + '"}}{{end}}'
    done = subprocess.run(
        ["docker", "image", "inspect", "-f", template, image], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else None


@cache
def can_pull() -> bool:
    """Return whether this machine reaches an image registry, tried once per run by pulling the base image.

    It does not if the base image was made here, since that is done only if a pull failed.
    """
    made = label_of(base_name())
    if made is not None:
        return made == ""
    try:
        run(["docker", "pull", "--quiet", base_name()], store.log("pull"), timeout=PULL_PROBE_SECONDS)
    except StageError:
        return False
    return True


def ensure_base() -> str:
    """Ensure debian:SUITE-slim, pulled or bootstrapped; return a description of which."""
    if can_pull():
        return "pulled"
    key = store.key("base-1", store.versions()["DEBIAN_SUITE"], machine_apt_proxy(), *machine_cas())
    if label_of(base_name()) == key:
        return "bootstrapped before"
    with stage(f"{base_name()} cannot be pulled: made by debootstrap"):
        _bootstrap(store.versions()["DEBIAN_SUITE"], key)
    return "bootstrapped"


def machine_cas() -> list[Path]:
    """Return the certificates that the machine's administrator added, which a build may need to reach a registry."""
    return sorted(MACHINE_CAS.rglob("*.crt")) if MACHINE_CAS.is_dir() else []


def machine_apt_proxy() -> str:
    """Return the machine's own proxies for apt, as apt.conf lines."""
    if shutil.which("apt-config") is None:
        return ""
    lines = output(["apt-config", "dump"]).splitlines()
    return "".join(
        f"{line}\n" for line in lines if re.match(r'Acquire::https?::(.*::)?Proxy(-.*)? "[^"]+"', line, re.IGNORECASE)
    )


def _bootstrap(suite: str, key: str) -> None:
    tar = store.cache() / f"base-{key}.tar"
    if not tar.exists():
        _debootstrap(suite, tar)
    label = ["--change", f"LABEL {LABEL}={key}", "--change", 'CMD ["bash"]']
    run(["docker", "import", *label, tar, base_name()], store.log("base"))
    for old in store.cache().glob("base-*.tar"):
        if old != tar:
            old.unlink()


def _debootstrap(suite: str, tar: Path) -> None:
    if os.geteuid() != 0:
        raise StageError(f"{base_name()} cannot be pulled, and making it with debootstrap needs root")
    if shutil.which("debootstrap") is None:
        if not Path("/etc/debian_version").exists():
            raise StageError(f"{base_name()} cannot be pulled, and debootstrap, which would make it, is not installed")
        engine.install(("debootstrap",))
    root, log = store.cache() / "build" / "base", store.log("base")
    shutil.rmtree(root, ignore_errors=True)
    keyring = [f"--keyring={KEYRING}"] if KEYRING.exists() else []
    run(["debootstrap", "--variant=minbase", *keyring, suite, root], log)
    (root / "etc/dpkg/dpkg.cfg.d/docker").write_text(
        "path-exclude /usr/share/doc/*\npath-include /usr/share/doc/*/copyright\npath-exclude /usr/share/man/*\n"
        "path-exclude /usr/share/locale/*\npath-exclude /usr/share/info/*\n"
    )
    (root / "etc/apt/apt.conf.d/docker-clean").write_text(
        'DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb || true"; };\nAcquire::Languages "none";\n'
    )
    (root / "etc/apt/apt.conf.d/99machine").write_text(machine_apt_proxy())
    certificates = root / "usr/local/share/ca-certificates"
    certificates.mkdir(parents=True, exist_ok=True)
    for path in machine_cas():
        shutil.copy(path, certificates)
    exclude = [f"--exclude=./{pattern}" for pattern in SLIM]
    run(["tar", "-C", root, *exclude, "-cf", tar.with_suffix(".part"), "."], log)
    tar.with_suffix(".part").rename(tar)
    shutil.rmtree(root)


def build(tag: str, context: Path, log: Path, *options: str, dockerfile: Path | None = None) -> None:
    """Run `docker build` with BuildKit on the host's network; the output goes to `log`."""
    file = ["--file", str(dockerfile)] if dockerfile else []
    env = {"DOCKER_BUILDKIT": "1", "BUILDKIT_PROGRESS": "plain"}
    run([engine.builder(), "build", "--network=host", "--tag", tag, *file, *options, context], log, env=env)


def ensure_node() -> str:
    """Ensure the nodes' image, which is kind's own if it can be pulled and else built; return its name."""
    if can_pull():
        return _pulled_node(store.versions()["KIND_NODE_IMAGE"])
    names = (*gobuild.KUBERNETES, "etcd", "coredns", "pause")
    binaries, versions = gobuild.ensure(names), store.versions()
    base = label_of(base_name()) or ""
    key = store.key(base, store.HERE / "node", *(gobuild.wanted_key(name, versions) for name in names))
    image = f"{NODE}:{key}"
    if label_of(image) is None:
        with stage(f"node image of Kubernetes {versions['KUBERNETES']}"):
            _build_node(image, key, binaries, versions)
    return image


def _pulled_node(image: str) -> str:
    if label_of(image) is None:
        with stage(f"pull {image.partition('@')[0]}"):
            run(["docker", "pull", image], store.log("pull"), timeout=PULL_SECONDS)
    return image


def bundled(versions: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return the images of one static file that kubeadm expects on a node, by name, with the binary and its path."""
    core = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
    return {
        **{f"{REGISTRY}/{name}:{versions['KUBERNETES']}": (name, f"/usr/local/bin/{name}") for name in core},
        f"{REGISTRY}/etcd:{versions['ETCD'].removeprefix('v')}-0": ("etcd", "/usr/local/bin/etcd"),
        f"{REGISTRY}/coredns/coredns:{versions['COREDNS']}": ("coredns", "/coredns"),
        f"{REGISTRY}/pause:{versions['PAUSE']}": ("pause", "/pause"),
    }


def _build_node(image: str, key: str, binaries: Path, versions: Mapping[str, str]) -> None:
    context, log = store.cache() / "build" / "node", store.log("node-image")
    shutil.rmtree(context, ignore_errors=True)
    shutil.copytree(store.HERE / "node", context)
    (context / "bin").mkdir()
    (context / "images" / "control-plane").mkdir(parents=True)
    for name in ("kubelet", "kubeadm", "kubectl", "kube-proxy"):
        shutil.copy(binaries / name, context / "bin")
    for reference, (name, path) in bundled(versions).items():
        everywhere = name in ("coredns", "pause")
        folder = context / "images" if everywhere else context / "images" / "control-plane"
        _save(single_file(reference, binaries / name, path, log), folder / f"{name}.tar", log)
    proxy = f"{REGISTRY}/kube-proxy:{versions['KUBERNETES']}"
    build(proxy, context, log, "--target", "kube-proxy", "--label", f"{LABEL}={key}")
    _save(proxy, context / "images" / "kube-proxy.tar", log)
    arguments = {"KUBERNETES_VERSION": versions["KUBERNETES"], "PAUSE_VERSION": versions["PAUSE"]}
    options = [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
    build(image, context, log, "--label", f"{LABEL}={key}", *options)
    run(["docker", "image", "rm", proxy, *bundled(versions)], log)
    shutil.rmtree(context)


def single_file(tag: str, binary: Path, path: str, log: Path) -> str:
    """Build an image FROM scratch of one static binary, which is its entrypoint; return its tag."""
    context = store.cache() / "build" / "single-file"
    shutil.rmtree(context, ignore_errors=True)
    context.mkdir(parents=True)
    shutil.copy(binary, context)
    lines = ("FROM scratch", f"COPY {binary.name} {path}", "ENV PATH=/usr/local/bin", f'ENTRYPOINT ["{path}"]')
    (context / "Dockerfile").write_text("\n".join(lines) + "\n")
    build(tag, context, log, "--label", f"{LABEL}={store.key(binary)}")
    shutil.rmtree(context)
    return tag


def _save(image: str, tar: Path, log: Path) -> None:
    run(["docker", "save", "--output", tar, image], log)


def remove_superseded(repository: str, current: str) -> None:
    """Remove images made here that have the repository's name and are not `current`, and those without a name."""
    kept = output(["docker", "image", "inspect", "--format", "{{.Id}}", current]).strip()
    made_here = ["--filter", f"label={LABEL}"]
    line = "{{.Repository}}:{{.Tag}} {{.ID}}"
    found = output(["docker", "image", "ls", "--no-trunc", *made_here, "--format", line, repository])
    for tag, image in (entry.split() for entry in found.splitlines()):
        if image != kept and not tag.endswith(":<none>"):
            # one that a container still uses stays until a later run
            subprocess.run(["docker", "image", "rm", tag], capture_output=True, check=False)
    output(["docker", "image", "prune", "--force", *made_here], timeout=600)

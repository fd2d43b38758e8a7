"""Build binaries from Go modules, and keep each in the cache until its version or recipe changes."""

import json
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from hack.cluster import store
from hack.cluster.stages import StageError, output, run, say, stage

KUBERNETES = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kubeadm",
    "kube-proxy",
    "kubectl",
)

# binary: module, package in it, name in versions.env
MODULES = {
    "etcd": ("go.etcd.io/etcd/server/v3", "", "ETCD"),
    "coredns": ("github.com/coredns/coredns", "", "COREDNS"),
    "kind": ("sigs.k8s.io/kind", "", "KIND"),
    "helm": ("helm.sh/helm/v4", "/cmd/helm", "HELM"),
    "versitygw": ("github.com/versity/versitygw", "/cmd/versitygw", "VERSITYGW"),
    "kueue": ("sigs.k8s.io/kueue", "/cmd/kueue", "KUEUE"),
}
# The variables that programs print as their version.
VERSION_VARIABLES = {
    "helm": "helm.sh/helm/v4/internal/version.version",
    "kueue": "sigs.k8s.io/kueue/pkg/version.GitVersion",
}
PAUSE_SOURCE = store.HERE / "node" / "pause.go"
NAMES = (*KUBERNETES, *MODULES, "pause")

MODULE = "module testbed\n\ngo 1.26.0\n"
FLAGS = ("-trimpath",)
STRIP = "-s -w"
STATIC = {"CGO_ENABLED": "0"}  # so that one file is a whole image
RECIPE = "1"  # raise it when a build changes in a way that the versions do not show


def folder() -> Path:
    path = store.cache() / "bin"
    path.mkdir(exist_ok=True)
    return path


def wanted_key(name: str, versions: dict[str, str]) -> str:
    """Return the key of the inputs that the cached binary `name` must have been built from."""
    if name == "pause":
        return store.key(RECIPE, PAUSE_SOURCE)
    if name in KUBERNETES:
        return store.key(RECIPE, "k8s.io/kubernetes", versions["KUBERNETES"])
    module, package, version = MODULES[name]
    return store.key(RECIPE, module, package, versions[version])


def missing(names: Sequence[str], versions: dict[str, str]) -> list[str]:
    """Return those of `names` that the cache lacks or holds from other inputs. Raises StageError for an unknown name."""
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        raise StageError(f"no such binary: {' '.join(unknown)}; expected one of {' '.join(NAMES)}")
    return [name for name in dict.fromkeys(names) if not _is_current(name, versions)]


def _key_file(name: str) -> Path:
    return folder() / f".{name}.key"


def _is_current(name: str, versions: dict[str, str]) -> bool:
    record = _key_file(name)
    return record.exists() and record.read_text() == wanted_key(name, versions) and (folder() / name).exists()


def ensure(names: Sequence[str]) -> Path:
    """Build what is missing of `names`; return the folder that holds them."""
    versions = store.versions()
    absent = missing(names, versions)
    if not absent:
        return folder()
    _require_go(versions["GO_MINIMUM"])
    kubernetes = [name for name in absent if name in KUBERNETES]
    if kubernetes:
        with stage(f"Kubernetes {versions['KUBERNETES']} from Go modules: {' '.join(kubernetes)}"):
            _build_kubernetes(kubernetes, versions["KUBERNETES"])
    for name in absent:
        if name not in KUBERNETES:
            with stage(f"{name} from Go modules"):
                _build_one(name, versions)
    for name in absent:
        _key_file(name).write_text(wanted_key(name, versions))
    return folder()


def _require_go(minimum: str) -> None:
    """Require Go 1.21 or newer, which fetches the version that a module asks for unless GOTOOLCHAIN=local."""
    hint = f"expected Go {minimum} or newer: run hack/install, or see https://go.dev/doc/install"
    if shutil.which("go") is None:
        raise StageError(f"go is not installed; {hint}")
    work = _work_folder("probe")
    (work / "go.mod").write_text(f"module probe\n\ngo {minimum}.0\n")
    try:
        found = output(["go", "-C", work, "env", "GOVERSION"], timeout=300).strip()
    except StageError as error:
        raise StageError(f"{error}\n{hint}") from error
    if version_tuple(found.removeprefix("go")) < version_tuple(minimum):
        raise StageError(f"go is {found}; {hint}")


def version_tuple(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))


def kubernetes_go_mod(version: str, released_go_mod: str) -> str:
    """Return the go.mod of a module that can build k8s.io/kubernetes.

    Its own go.mod replaces the staging modules by folders that are not in the release; here they are replaced by
    the same modules as released, v0.X.Y for Kubernetes v1.X.Y.
    """
    staging = re.findall(r"^\s+(k8s\.io/[a-z0-9-]+) => \./staging", released_go_mod, re.MULTILINE)
    if not staging:
        raise StageError(
            f"k8s.io/kubernetes {version}: no staging modules in its go.mod, expected 'k8s.io/X => ./staging'"
        )
    released = "v0." + version.removeprefix("v1.")
    replace = "".join(f"\t{module} => {module} {released}\n" for module in staging)
    return f"{MODULE}\nrequire k8s.io/kubernetes {version}\n\nreplace (\n{replace})\n"


def _imports(packages: Sequence[str]) -> str:
    """Return a Go file that makes `go mod tidy` keep what the packages need."""
    return "//go:build tools\n\npackage tools\n\nimport (\n" + "".join(f'\t_ "{p}"\n' for p in packages) + ")\n"


def _build_kubernetes(names: Sequence[str], version: str) -> None:
    work, log = _work_folder("kubernetes"), store.log("kubernetes")
    (work / "go.mod").write_text(MODULE)
    found = json.loads(
        output(["go", "mod", "download", "-C", work, "-json", f"k8s.io/kubernetes@{version}"], timeout=600)
    )
    (work / "go.mod").write_text(kubernetes_go_mod(version, Path(found["GoMod"]).read_text()))
    # all commands, so that the module graph does not depend on what is built today
    (work / "tools.go").write_text(_imports([f"k8s.io/kubernetes/cmd/{name}" for name in KUBERNETES]))
    run(["go", "mod", "tidy"], log, cwd=work)
    at = "k8s.io/component-base/version"
    values = {"gitVersion": version, "gitMajor": "1", "gitMinor": version.split(".")[1], "gitTreeState": "clean"}
    flags = f"{STRIP} " + " ".join(f"-X {at}.{name}={value}" for name, value in values.items())
    for name in names:
        _go_build(work, name, f"k8s.io/kubernetes/cmd/{name}", flags, log)
        say(f"   {name}")


def _build_one(name: str, versions: dict[str, str]) -> None:
    log = store.log(name)
    if name == "pause":
        _go_build(PAUSE_SOURCE.parent, name, PAUSE_SOURCE.name, STRIP, log)
        return
    module, package, version = MODULES[name][0], MODULES[name][0] + MODULES[name][1], versions[MODULES[name][2]]
    work = _work_folder(name)
    # not `go install PACKAGE@VERSION`: it refuses modules whose own go.mod replaces others
    (work / "go.mod").write_text(f"{MODULE}\nrequire {module} {version}\n")
    (work / "tools.go").write_text(_imports([package]))
    run(["go", "mod", "tidy"], log, cwd=work)
    flags = f"{STRIP} -X {VERSION_VARIABLES[name]}={version}" if name in VERSION_VARIABLES else STRIP
    _go_build(work, name, package, flags, log)


def module_folder(name: str) -> Path:
    """Return the folder of a binary's module in Go's module cache, which is fetched if it is not there.

    Raises:
        StageError: no such module is built, or it cannot be fetched.
    """
    if name not in MODULES:
        raise StageError(f"no such module: {name}; expected one of {' '.join(MODULES)}")
    module, _, version = MODULES[name]
    work = _work_folder("probe")
    (work / "go.mod").write_text(MODULE)
    found = output(["go", "mod", "download", "-C", work, "-json", f"{module}@{store.versions()[version]}"], timeout=600)
    return Path(json.loads(found)["Dir"])


def _work_folder(name: str) -> Path:
    """Return an empty folder for a throwaway module."""
    work = store.cache() / "build" / name
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    return work


def _go_build(work: Path, name: str, package: str, flags: str, log: Path) -> None:
    """Build beside the old binary, which another run may be using, and replace it in one step."""
    fresh = folder() / f".{name}.{os.getpid()}"
    run(["go", "build", *FLAGS, "-ldflags", flags, "-o", fresh, package], log, cwd=work, env=STATIC)
    fresh.rename(folder() / name)

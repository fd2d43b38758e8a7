"""Install the Helm release of the checkout's chart."""

import json
from pathlib import Path
from typing import Any

from tests.support.helm import NAMESPACE, RELEASE
from tests.support.repository import CHART, ROOT
from tests.support.stack.images import OPERATOR, WORKER, Image, ensure_image
from tests.support.stack.kube import apply, kubectl, run

# The operator may look at nodes, and says where none has a GPU; one and the same in the demo and the end-to-end tests, of which
# one runs the demo.
READ_NODES: dict[str, Any] = {"rbac": {"readNodes": True}}


def release_values(
    operator_image: Image = OPERATOR, worker_image: Image = WORKER, source: Path = ROOT
) -> dict[str, Any]:
    """Return values for the test cluster: images of `source`, and small requests, since three nodes share a machine."""
    operator, worker = (ensure_image(image, source) for image in (operator_image, worker_image))
    return {
        "image": _image(operator),
        "worker": {
            "image": _image(worker),
            # The worker gets one core, since threads on shared cores mostly wait for each other.
            "resources": {"requests": {"cpu": "100m", "memory": "512Mi"}, "limits": {"cpu": "1", "memory": "3Gi"}},
        },
    }


def ensure_release(values: dict[str, Any], chart: Path = CHART) -> None:
    """Install or upgrade the release, and wait until its operator is ready."""
    ensure_namespace(NAMESPACE)
    command = ["helm", "upgrade", "--install", RELEASE, str(chart), "--namespace", NAMESPACE, "--values", "-"]
    run(*command, "--wait", "--timeout", "180s", text=json.dumps(values))


def ensure_namespace(name: str) -> None:
    """Ensure a namespace that enforces the restricted Pod Security Standard."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})


def operator_pods() -> list[str]:
    """Return the names of the operator's pods."""
    selector = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component=operator"
    return kubectl("get", "pods", "-n", NAMESPACE, "-l", selector, "-o", "jsonpath={.items[*].metadata.name}").split()


def _image(reference: str) -> dict[str, str]:
    repository, _, tag = reference.rpartition(":")
    return {"repository": repository, "tag": tag}

"""Implement `doctor --nodes`: one table of what the doctor found on each node, from the pods of examples/doctor-nodes.yaml.

The pods have no Kubernetes token, and leave what they found in their termination messages. Whoever asks reads the pods with
rights of their own, as `kubectl get pods --output json`, and gives them to this command.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from transcription_api import exit_codes
from transcription_api.log_lines import one_line
from transcription_api.report import cut
from transcription_api.untrusted_json import parse_untrusted_json

# The name of the container that runs the doctor.
CONTAINER = "doctor"
USABLE = "usable"
COLUMNS = ("NODE", "GPU", "DRIVER", "CUDA", "IMAGES", "VERDICT")
# Characters of what a cell and a line below the table show.
CELL, LINE = 48, 600

Body = Mapping[str, Any]


@dataclass(frozen=True)
class NodeVerdict:
    """A row. `driver`, `cuda` (the newest that the driver knows) and `images` (by CUDA version) are empty if not known."""

    node: str
    verdict: str
    gpu: str = ""
    driver: str = ""
    cuda: str = ""
    images: str = ""
    message: str = ""


def print_nodes() -> int:
    """Read pods from standard input and print the table; return OK if every node is usable, else DEVICE_UNUSABLE."""
    try:
        pods = json.load(sys.stdin)["items"]
    except (ValueError, TypeError, KeyError):
        sys.stderr.write("standard input: expected what kubectl get pods --output json prints\n")
        return exit_codes.TASK_INVALID
    rows = node_verdicts(pods)
    sys.stdout.write(render_nodes(rows))
    return exit_codes.OK if rows and all(row.verdict == USABLE for row in rows) else exit_codes.DEVICE_UNUSABLE


def node_verdicts(pods: Iterable[Body]) -> list[NodeVerdict]:
    """Return the verdict on each node, by its name. Of several pods of a node the newest counts."""
    newest = sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")))
    found = {_node(pod): pod for pod in newest}
    return [_verdict(node, pod) for node, pod in sorted(found.items())]


def render_nodes(rows: list[NodeVerdict]) -> str:
    """Return the table, and below it a line about each node that is not usable."""
    if not rows:
        return "no pod of the doctor: does a node carry the label that the DaemonSet's nodeSelector names?\n"
    cells = [COLUMNS, *((row.node, row.gpu, row.driver, row.cuda, row.images, row.verdict) for row in rows)]
    shown = [[cut(one_line(cell), CELL) or "-" for cell in line] for line in cells]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    lines = ["   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in shown]
    notes = [f"{row.node}: {cut(one_line(row.message), LINE)}" for row in rows if row.message and row.verdict != USABLE]
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"


def _node(pod: Body) -> str:
    """The pod's node; of one that waits for it, the node that the DaemonSet's controller has made it for."""
    spec = pod["spec"]
    if name := spec.get("nodeName"):
        return str(name)
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    terms = (affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}).get("nodeSelectorTerms") or ()
    fields = (field for term in terms for field in term.get("matchFields") or ())
    named = (value for field in fields if field.get("key") == "metadata.name" for value in field.get("values") or ())
    return str(next(named, pod["metadata"]["name"]))


def _verdict(node: str, pod: Body) -> NodeVerdict:
    status = pod.get("status") or {}
    state = next((container.get("state") or {} for container in _containers(status)), {})
    if "terminated" in state:
        return _terminated(node, state["terminated"])
    if reason := status.get("reason"):
        return NodeVerdict(node, str(reason), message=str(status.get("message") or ""))
    waiting = state.get("waiting") or {}
    if waiting.get("message"):
        return NodeVerdict(node, str(waiting.get("reason")), message=str(waiting["message"]))
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return NodeVerdict(node, str(condition.get("reason")), message=str(condition.get("message") or ""))
    return NodeVerdict(node, "Running" if "running" in state else str(waiting.get("reason") or "Pending"))


def _containers(status: Body) -> Iterator[Body]:
    for field in ("initContainerStatuses", "containerStatuses"):
        yield from (item for item in status.get(field) or () if item.get("name") == CONTAINER)


def _terminated(node: str, terminated: Body) -> NodeVerdict:
    try:
        report = parse_untrusted_json(str(terminated.get("message") or ""))
    except ValueError:
        report = None
    if not isinstance(report, dict):
        words = (
            f"the doctor ended with exit code {terminated.get('exitCode')} ({terminated.get('reason')}): see its log"
        )
        return NodeVerdict(node, "NoReport", message=words)
    message = " ".join(str(report.get(name) or "") for name in ("message", "advice")).strip()
    verdict = USABLE if report.get("usable") is True else str(report.get("reason"))
    texts = {key: str(report.get(name) or "") for key, name in (("driver", "driver"), ("cuda", "driverCUDA"))}
    return NodeVerdict(node, verdict, _gpus(report), images=_images(report), message=message, **texts)


def _gpus(report: Body) -> str:
    gpus = report.get("gpus")
    names = [str(gpu.get("name")) for gpu in gpus if isinstance(gpu, dict)] if isinstance(gpus, list) else []
    return ", ".join(dict.fromkeys(names))


def _images(report: Body) -> str:
    images = report.get("usableImages")
    return ", ".join(f"CUDA {version}" for version in images) if isinstance(images, list) else ""

"""What the kubelet says of the health of a container's devices, from Kubernetes 1.36 (feature gate ResourceHealthStatus).

A device plugin, or a driver of dynamic resource allocation, watches its devices and tells the kubelet. Nothing follows from it
but a word in the status: the plugin may be wrong, and Kubernetes itself lets the pod go on.
"""

from collections.abc import Mapping
from typing import Any

from transcription_api.log_lines import one_line
from transcription_api.report import cut

Body = Mapping[str, Any]

UNHEALTHY = "Unhealthy"
# Devices that are named, and characters of what others wrote.
MAX_NAMED, NAME_CHARACTERS, MESSAGE_CHARACTERS = 2, 80, 160


def sick_devices(container_status: Body) -> str | None:
    """Name the devices of a container that are Unhealthy, in a few words; None if there are none.

    Unknown is no sickness: the kubelet says it of all devices whose plugin is about to be started anew.
    """
    found = [
        _name(str(resource.get("name") or ""), device)
        for resource in container_status.get("allocatedResourcesStatus") or ()
        for device in resource.get("resources") or ()
        if device.get("health") == UNHEALTHY
    ]
    if not found:
        return None
    more = f" and {len(found) - MAX_NAMED} more" if len(found) > MAX_NAMED else ""
    return f"the kubelet calls {', '.join(found[:MAX_NAMED])}{more} unhealthy"


def _name(resource: str, device: Body) -> str:
    message = cut(one_line(str(device.get("message") or "")), MESSAGE_CHARACTERS)
    name = cut(one_line(f"{resource} {device.get('resourceID') or ''}".strip()), NAME_CHARACTERS)
    return f"{name} ({message})" if message else name

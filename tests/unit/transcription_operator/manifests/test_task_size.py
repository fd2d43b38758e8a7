"""The longest task that the resource's schema admits fits into environment variables and into an object of etcd."""

from typing import Any

from transcription_api import names
from transcription_api.spec import parse_spec
from transcription_api.task import parse_task, task_text
from transcription_operator.manifests.job import render_job

from tests.support.kubernetes_objects import config, resource
from tests.support.repository import read_crd

# Bytes of NAME=value with the zero at its end: Linux's MAX_ARG_STRLEN, 32 pages of 4 KiB. execve fails with E2BIG beyond it,
# and the container does not start.
LONGEST_VARIABLE = 32 * 4096
# Bytes of all arguments and variables: a quarter of the usual limit of the stack, 8 MiB. An object in etcd has less.
LONGEST_ENVIRONMENT = 1_500_000
# A character that JSON writes as two escapes of 6 bytes; every other takes less.
LONGEST_CHARACTER = "🎙"
LONGEST_NUMBERS = {"number": -1.2345678901234567e-300, "integer": -(2**63), "boolean": False}
# The name of a label, a taint or a resource has at most 253 characters of a domain, a slash and 63 more.
LONGEST_LABEL = "d" * 253 + "/" + "n" * 63
# Rules limit these in bytes of UTF-8, of which a dollar takes one and six in the task; the others are names of labels and
# their values, which are ASCII: the apiserver would refuse the Job.
KNOWN = {
    "spec.source.s3.key": "$" * 1024,
    "spec.source.s3.keys": ["$" * 1024] * 128,
    "spec.model.s3.key": "$" * 1024,
    "spec.destination.s3.prefix": "$" * 768,
    "spec.device.tolerations[].key": LONGEST_LABEL,
    "spec.device.tolerations[].value": "v" * 63,
}


def longest(schema: dict[str, Any], path: str) -> Any:
    """Return the value with the longest JSON that the schema admits, with members that exclude each other all set."""
    if path in KNOWN:
        return KNOWN[path]
    if schema.get("x-kubernetes-int-or-string"):
        return "9" * schema.get("maxLength", 6)
    if "enum" in schema:
        return max(schema["enum"], key=len)
    if schema["type"] in LONGEST_NUMBERS:
        return LONGEST_NUMBERS[schema["type"]]
    return {"object": _object, "array": _array, "string": _string}[schema["type"]](schema, path)


def _object(schema: dict[str, Any], path: str) -> dict[str, Any]:
    if "additionalProperties" in schema:
        value = longest(schema["additionalProperties"], f"{path}{{}}")
        return {f"{number:02}{LONGEST_LABEL[2:]}": value for number in range(schema["maxProperties"])}
    return {name: longest(field, f"{path}.{name}") for name, field in schema["properties"].items()}


def _array(schema: dict[str, Any], path: str) -> list[Any]:
    return [longest(schema["items"], f"{path}[]")] * schema["maxItems"]


def _string(schema: dict[str, Any], path: str) -> str:
    # Patterns with a class of characters that are not allowed admit all others.
    ascii_only = "pattern" in schema and "[^" not in schema["pattern"]
    return ("x" if ascii_only else LONGEST_CHARACTER) * int(schema["maxLength"])


def test_the_longest_task_fits_into_environment_variables() -> None:
    schema = read_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec = longest(schema, "spec")
    owner = resource(spec, name="r" * 253, namespace="n" * 63, uid="u" * 36)
    (container,) = render_job(owner, parse_spec(spec), 1, config())["spec"]["template"]["spec"]["containers"]
    parts = [item for item in container["env"] if item["name"].startswith(names.ENV_TASK)]
    assert all(len(f"{item['name']}={item['value']}\0".encode()) <= LONGEST_VARIABLE for item in parts)
    text = task_text({item["name"]: item["value"] for item in parts})
    assert text is not None
    assert 500_000 < len(text) <= LONGEST_ENVIRONMENT
    assert len(parse_task(text).spec["source"]["s3"]["keys"]) == 128

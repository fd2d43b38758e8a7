"""Say why the apiserver would refuse a status: the CRD's schema, with the formats that Kubernetes checks."""

import json
import re
from typing import Any

import jsonschema

from tests.support.repository import read_crd

Schema = dict[str, Any]
SCHEMA: Schema = read_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
# As in k8s.io/kube-openapi/pkg/validation/strfmt, rxDateTime.
_DATE_TIME = re.compile(r"^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:?\d\d)$", re.ASCII)
_FORMATS = jsonschema.FormatChecker(())


@_FORMATS.checks("int32")
def _is_int32(value: Any) -> bool:
    return not isinstance(value, int) or -(2**31) <= value < 2**31


@_FORMATS.checks("int64")
def _is_int64(value: Any) -> bool:
    return not isinstance(value, int) or -(2**63) <= value < 2**63


@_FORMATS.checks("date-time")
def _is_date_time(value: Any) -> bool:
    return not isinstance(value, str) or _DATE_TIME.match(value) is not None


def refused_fields(status: Any, schema: Schema = SCHEMA) -> list[str]:
    """Return the paths of the fields that do not fit, as in status.device.name.

    Raises:
        ValueError: The status cannot be sent as JSON.
    """
    sent = json.loads(json.dumps(status, allow_nan=False, ensure_ascii=False).encode())
    errors = jsonschema.Draft7Validator(schema, format_checker=_FORMATS).iter_errors(sent)
    return [".".join(("status", *map(str, error.absolute_path))) for error in errors]

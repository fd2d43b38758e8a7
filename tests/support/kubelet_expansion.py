"""Expand references in a container's environment as the kubelet does.

It follows third_party/forked/golang/expansion/expand.go of Kubernetes 1.37: $(NAME) becomes the value of a variable that
was set before, or stays if there is none, and $$ becomes $.
"""

import re
from collections.abc import Iterable, Mapping

# After $ the kubelet looks at the next character; a $( without its ) is no reference.
_REFERENCE = re.compile(r"\$(?:\((?P<name>[^)]*)\)|(?P<escaped>\$)|(?P<other>.))", re.DOTALL)


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Return the text with its references replaced."""

    def replacement(match: re.Match[str]) -> str:
        name = match["name"]
        if name is not None:
            return variables.get(name, match[0])
        return "$" if match["escaped"] else match[0]

    return _REFERENCE.sub(replacement, text)


def container_environment(env: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return the environment that a container gets: each value may refer to the variables before it."""
    variables: dict[str, str] = {}
    for item in env:
        variables[item["name"]] = expand(item["value"], variables)
    return variables

"""Texts of others in the log: what a tenant, a worker or the apiserver said makes neither a line of its own nor an endless one."""

import re

# Characters of one message. The longest of ours names a few fields.
MESSAGE_LIMIT = 4096
# Control characters, line ends of Unicode, controls of its writing direction, and surrogates without their other half.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# With these Python stands for the bytes of a file's name that are not UTF-8: PEP 383.
_BYTES = range(0xDC80, 0xDD00)


def one_line(text: str) -> str:
    """Return the text with escapes in place of what would end the line or drive a terminal, cut to MESSAGE_LIMIT."""
    cut = text if len(text) <= MESSAGE_LIMIT else f"{text[:MESSAGE_LIMIT]}… ({len(text)} characters)"
    return _UNPRINTABLE.sub(_escaped, cut)


def _escaped(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\x{number - 0xDC00:02x}" if number in _BYTES else repr(found[0])[1:-1]

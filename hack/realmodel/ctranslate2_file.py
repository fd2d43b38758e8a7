"""Read the tensors of CTranslate2's model.bin.

The format is that of `ModelSpec._serialize` in ctranslate2/specs/model_spec.py, version 6; all integers are little-endian.
"""

import struct
from pathlib import Path

import torch

VERSION = 6
# CTranslate2's numbers for the types of tensors.
DTYPES = {
    0: torch.float32,
    1: torch.int8,
    2: torch.int16,
    3: torch.int32,
    4: torch.float16,
    5: torch.bfloat16,
}


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Return all tensors by name, and those that are stored once under each of their names.

    Raises:
        ValueError: the file is of another version, or does not end where it should.
    """
    reader = _Reader(path.read_bytes())
    version = reader.number("I")
    if version != VERSION:
        raise ValueError(f"{path}: version {version} of CTranslate2's format; expected {VERSION}")
    reader.text()  # the name of the specification
    reader.number("I")  # its revision
    tensors = dict(reader.tensor() for _ in range(reader.number("I")))
    for _ in range(reader.number("I")):
        alias, name = reader.text(), reader.text()
        tensors[alias] = tensors[name]
    if reader.left:
        raise ValueError(f"{path}: {reader.left} bytes after the last tensor; expected none")
    return tensors


class _Reader:
    def __init__(self, content: bytes) -> None:
        self._content, self._at = bytearray(content), 0

    @property
    def left(self) -> int:
        return len(self._content) - self._at

    def number(self, form: str) -> int:
        (value,) = struct.unpack_from(f"<{form}", self._content, self._at)
        self._at += struct.calcsize(form)
        return int(value)

    def text(self) -> str:
        """Read a text that begins with its length and ends with a zero byte."""
        return self._bytes(self.number("H"))[:-1].decode()

    def tensor(self) -> tuple[str, torch.Tensor]:
        name = self.text()
        shape = [self.number("I") for _ in range(self.number("B"))]
        dtype = DTYPES[self.number("B")]
        content = self._bytes(self.number("I"))
        return name, torch.frombuffer(content, dtype=dtype).reshape(shape)

    def _bytes(self, count: int) -> bytearray:
        self._at += count
        return self._content[self._at - count : self._at]

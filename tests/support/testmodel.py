"""The small Whisper checkpoint that recognises the speech of tests, unpacked into a cache folder."""

from tests.support.testmodel_checkpoint import model_path, model_sha256

__all__ = ["model_path", "model_sha256"]

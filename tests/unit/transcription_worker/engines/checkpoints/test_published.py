"""The table of published models is openai-whisper's."""

import whisper
from transcription_worker.engines.checkpoints.published import PUBLISHED, file_of


def test_every_published_model_has_openai_whispers_url() -> None:
    assert {name: file_of(name).url for name in PUBLISHED} == whisper._MODELS

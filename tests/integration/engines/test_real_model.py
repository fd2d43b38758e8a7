"""With the weights of Whisper's tiny.en: the conversion is true to them, and English is understood. Parity: test_parity.py."""

from typing import Any

import ctranslate2
import numpy as np
import pytest
import torch
import whisper
from transcription_worker.engines.batched.engine import BatchedEngine
from whisper.tokenizer import get_tokenizer

from hack.realmodel.package import model_bin
from tests.support.engine_cases import transcripts
from tests.support.real_model_cases import LETTER, QUESTION, REPORT, further_cases, read
from tests.support.realmodel import load_real_model
from tests.support.transcript_score import word_error_rate

pytestmark = [
    pytest.mark.real_model,
    # numpy warns about whisper's own argsort of a tensor.
    pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning"),
]

# Both compute the same halves in float32. What differs is the order of the sums: 4.4e-5 was measured.
LOG_PROBABILITY_TOLERANCE = 1e-3
WER_MAX = 0.05
HALF = 750  # of the 1500 positions of a window


@pytest.fixture(scope="module")
def model() -> Any:
    torch.set_num_threads(1)
    return load_real_model()


def test_log_probabilities_are_those_that_ctranslate2_computes_with_the_package_itself(model: Any) -> None:
    tokenizer = get_tokenizer(multilingual=False)
    # Without timestamps CTranslate2 changes no logit by a rule.
    prompt = [tokenizer.sot, tokenizer.no_timestamps]
    mel = whisper.log_mel_spectrogram(whisper.pad_or_trim(read(REPORT, "slt")))[None]
    original = ctranslate2.models.Whisper(str(model_bin().parent), compute_type="float32", intra_threads=1)
    [result] = original.generate(
        ctranslate2.StorageView.from_array(mel.numpy()), [prompt],
        beam_size=1, suppress_blank=False, suppress_tokens=[], return_logits_vocab=True,
    )  # fmt: skip
    [tokens], [steps] = result.sequences_ids, result.logits
    with torch.no_grad():
        logits = model(mel, torch.tensor([prompt + tokens]))[0, len(prompt) - 1 :]
    assert len(tokens) >= 40
    expected = torch.from_numpy(np.stack([np.array(step).reshape(-1) for step in steps])).log_softmax(-1)
    found = logits[: len(expected)].log_softmax(-1)
    assert (found - expected).abs().max() < LOG_PROBABILITY_TOLERANCE


def first_token(model: Any, features: torch.Tensor) -> torch.Tensor:
    """Return the log probabilities of the first token that is written for a window."""
    tokenizer = get_tokenizer(multilingual=False)
    logits = model.decoder(torch.tensor([[tokenizer.sot, tokenizer.no_timestamps]]), features)
    return logits[0, -1].log_softmax(-1)


def test_no_position_of_a_short_window_can_be_left_out_without_changing_log_probabilities(model: Any) -> None:
    """A window of 30 s that holds 2 s of sound costs 30 s of encoder: see docs/adr/0060."""
    mel = whisper.log_mel_spectrogram(whisper.pad_or_trim(read(QUESTION, "rms")))[None]
    positions = model.encoder.positional_embedding
    with torch.inference_mode():
        whole = model.encoder(mel)
        try:
            model.encoder.positional_embedding = positions[:HALF]
            encoded_in_half = model.encoder(mel[:, :, : 2 * HALF])
        finally:
            model.encoder.positional_embedding = positions
        expected = first_token(model, whole)
        for features in (encoded_in_half, whole[:, :HALF], whole[:, : len(positions) - 1]):
            assert (first_token(model, features) - expected).abs().max() > LOG_PROBABILITY_TOLERANCE


def test_what_is_read_aloud_is_what_is_written(model: Any) -> None:
    cases = [case for case in further_cases() if case.name in ("two windows", "a question, beams")]
    found = transcripts(BatchedEngine(model, batch=4), cases)
    assert word_error_rate(f"{REPORT} {QUESTION} {LETTER}", found["two windows"].text) <= WER_MAX
    assert found["a question, beams"].text.strip() == QUESTION

"""Options are passed as the whisper command passes them, and progress is reported during a transcription."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
import whisper
from transcription_api import reasons
from transcription_api.spec import Decoding, TaskKind
from transcription_worker.engines.checkpoints import weights
from transcription_worker.engines.checkpoints.published import file_of
from transcription_worker.engines.openai_whisper.engine import OpenAIWhisper
from transcription_worker.engines.openai_whisper.window_observer import WindowObserver, observe
from transcription_worker.engines.protocol import InMemory, Input, Options
from transcription_worker.engines.whisper_arguments import COMMAND_TEMPERATURES, transcribe_arguments
from transcription_worker.errors import WorkerError

from tests.support.speech import speak
from tests.support.testmodel import model_path

OPTIONS = Options(TaskKind.TRANSCRIBE, None, Decoding())
SHORT = dataclasses.replace(OPTIONS, decoding=Decoding(temperatures=(0.0,), beam_size=1))


# whisper passes a torch tensor to numpy.argsort.
pytestmark = pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning")


@pytest.fixture(scope="module")
def model() -> Any:
    torch.set_num_threads(1)
    return weights.load(model_path(), "0" * 64, "cpu", "model.pt")


def test_defaults_are_the_whisper_commands() -> None:
    arguments = transcribe_arguments(OPTIONS, half=False)
    assert arguments["temperature"] == tuple(np.arange(0, 1.0 + 1e-6, 0.2))
    assert (arguments["beam_size"], arguments["best_of"], arguments["fp16"]) == (5, 5, False)
    assert arguments["language"] is None
    assert arguments["condition_on_previous_text"] is True


def test_temperatures_of_ones_own_stay_as_they_are() -> None:
    assert COMMAND_TEMPERATURES[3] != 0.6  # the command's own sum of floats
    options = dataclasses.replace(OPTIONS, decoding=Decoding(temperatures=(0.0, 0.6)))
    assert transcribe_arguments(options, half=True)["temperature"] == (0.0, 0.6)
    assert transcribe_arguments(options, half=True)["fp16"] is True


@pytest.mark.parametrize(
    ("beams", "patience", "given"),
    [
        (1, None, (None, None)),
        (1, 1.0, (None, None)),
        (1, 2.0, (1, 2.0)),
        (2, None, (2, None)),
        (None, None, (5, None)),
    ],
)
def test_one_beam_is_whispers_greedy_decoder(
    beams: int | None, patience: float | None, given: tuple[int | None, float | None]
) -> None:
    decoding = Decoding(beam_size=beams, patience=patience)
    arguments = transcribe_arguments(dataclasses.replace(OPTIONS, decoding=decoding), half=False)
    assert (arguments["beam_size"], arguments["patience"]) == given


@pytest.mark.parametrize(("seconds", "given"), [(None, None), (0.0, 0.005), (0.004, 0.005), (0.01, 0.01), (2.0, 2.0)])
def test_silence_that_is_skipped_lasts_half_a_frame_at_least(seconds: float | None, given: float | None) -> None:
    """Words' times are rounded to frames of 10 ms: a gap between rounding errors moved the window by none."""
    decoding = Decoding(word_timestamps=True, hallucination_silence_threshold=seconds)
    arguments = transcribe_arguments(dataclasses.replace(OPTIONS, decoding=decoding), half=False)
    assert arguments["hallucination_silence_threshold"] == given


def test_every_option_of_the_spec_reaches_whisper() -> None:
    decoding = Decoding(
        temperatures=(0.4,),
        beam_size=3,
        best_of=2,
        patience=1.5,
        length_penalty=0.5,
        initial_prompt="names",
        condition_on_previous_text=False,
        compression_ratio_threshold=2.0,
        logprob_threshold=-0.5,
        no_speech_threshold=0.4,
        word_timestamps=True,
    )
    arguments = transcribe_arguments(Options(TaskKind.TRANSLATE, "pt", decoding), half=False)
    expected = {
        "temperature": (0.4,),
        "beam_size": 3,
        "best_of": 2,
        "patience": 1.5,
        "length_penalty": 0.5,
        "initial_prompt": "names",
        "condition_on_previous_text": False,
        "compression_ratio_threshold": 2.0,
        "logprob_threshold": -0.5,
        "no_speech_threshold": 0.4,
        "word_timestamps": True,
        "task": "translate",
        "language": "pt",
    }
    assert {name: arguments[name] for name in expected} == expected


def test_observing_changes_nothing_and_sees_every_window(model: Any) -> None:
    samples = speak("en", 601, 65)[0]
    done: list[float] = []
    languages: list[str] = []
    item = Input("a", lambda: InMemory(samples), SHORT, on_progress=done.append, on_language=languages.append)
    observer = WindowObserver(item)
    arguments = transcribe_arguments(SHORT, half=False) | {"no_speech_threshold": None}
    with observe(model, observer):
        seen = whisper.transcribe(model, samples, **arguments)
    plain = whisper.transcribe(model, samples, **arguments)
    assert str(seen) == str(plain)
    assert languages == [plain["language"]]
    assert observer.language_probability is not None
    assert 0 < observer.language_probability <= 1
    assert observer.windows >= 3
    assert done == sorted(done)
    assert done[-1] == 65


def test_windows_skipped_as_silent_count_as_done(model: Any) -> None:
    samples = np.zeros(16_000 * 90, dtype=np.float32)
    done: list[float] = []
    observer = WindowObserver(Input("a", lambda: InMemory(samples), SHORT, on_progress=done.append))
    # Every window is above this threshold, and none is above this log probability.
    arguments = transcribe_arguments(SHORT, half=False) | {"no_speech_threshold": -1.0, "logprob_threshold": 1.0}
    with observe(model, observer):
        whisper.transcribe(model, samples, **arguments)
    assert observer.windows == 3
    assert done == [30.0, 60.0]  # the last one's end is the transcription's


def test_one_inputs_failure_is_that_inputs_outcome(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = OpenAIWhisper(model)
    silence = np.zeros(16_000, dtype=np.float32)
    quick = dataclasses.replace(SHORT, language="en")
    real = whisper.transcribe

    def full_memory_at_first(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(whisper, "transcribe", real)
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. If reserved memory is large")

    monkeypatch.setattr(whisper, "transcribe", full_memory_at_first)
    first, second = engine.transcribe(
        [Input("1", lambda: InMemory(silence), quick), Input("2", lambda: InMemory(silence), quick)]
    )
    assert first.error is not None
    assert first.error.reason is reasons.OUT_OF_MEMORY
    assert first.error.message == "transcribing: CUDA out of memory. Tried to allocate 20.00 MiB."
    assert second.value().audio_seconds == 1.0
    with pytest.raises(WorkerError):
        first.value()


def dims_of(mels: int, vocabulary: int, layers: int, width: int, text_layers: int) -> Any:
    return whisper.model.ModelDimensions(mels, 1500, width, 8, layers, vocabulary, 448, width, 8, text_layers)


@pytest.mark.parametrize(
    ("dims", "name"),
    [
        (dims_of(80, 51865, 4, 384, 4), "tiny"),
        (dims_of(80, 51864, 12, 768, 12), "small.en"),
        (dims_of(128, 51866, 32, 1280, 4), "large-v3-turbo"),
        (dims_of(80, 51865, 32, 1280, 32), None),  # large-v1 or -v2: the digest alone can tell
        (dims_of(80, 51865, 2, 128, 2), None),
    ],
)
def test_a_fine_tuned_models_shape_says_whose_alignment_heads_it_has(dims: Any, name: str | None) -> None:
    assert weights.official_name(dims, "0" * 64) == name


def test_an_official_files_digest_says_whose_alignment_heads_it_has() -> None:
    digest = file_of("large-v2").sha256
    assert weights.official_name(dims_of(80, 51865, 32, 1280, 32), digest) == "large-v2"


def test_alignment_heads_of_every_shape_fit_it() -> None:
    for (_, _, _, _, text_layers), name in weights._BY_SHAPE.items():
        assert name in whisper._ALIGNMENT_HEADS
        assert text_layers > 0

"""Whatever an option or a model holds: every engine ends, with openai-whisper's text or a failure that names the field."""

import dataclasses
import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import whisper
from transcription_api import reasons
from transcription_api.report import DeviceUsed, ModelUsed
from transcription_api.spec import (
    Clip,
    Decoding,
    EngineKind,
    LanguageDetection,
    LongForm,
    Precision,
    TaskKind,
    UncertainLanguage,
)
from transcription_worker.engines.checkpoints.model_file import ModelFile
from transcription_worker.engines.protocol import Engine, InMemory, Input, Options, Outcome, Samples, Transcript
from transcription_worker.engines.selection import load_engine
from transcription_worker.errors import WorkerError

from tests.support.engine_cases import spoken
from tests.support.testmodel import model_path, model_sha256

# whisper passes a torch tensor to numpy.argsort.
pytestmark = pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning")

CPU = DeviceUsed(kind="cpu", name="here")
GREEDY = Decoding(temperatures=(0.0,), beam_size=1)
LONGEST = 300  # seconds for a transcription that takes one on an idle machine
END_OF_TEXT = "<|endoftext|>"


@contextmanager
def ending() -> Iterator[None]:
    """Fail the test if what runs inside has not ended after LONGEST seconds."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"not ended after {LONGEST} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LONGEST)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def load(kind: EngineKind, path: Path, sha256: str, cache: Path) -> Engine:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        patch.setenv("OMP_NUM_THREADS", "1")
        return load_engine(kind, ModelFile(path, ModelUsed("model.pt", f"sha256:{sha256}")), CPU, Precision.AUTO, 4)


@pytest.fixture(scope="module", params=list(EngineKind), ids=[kind.value for kind in EngineKind])
def kind(request: pytest.FixtureRequest) -> EngineKind:
    found: EngineKind = request.param
    return found


@pytest.fixture(scope="module")
def engine(kind: EngineKind, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    torch.set_num_threads(1)
    return load(kind, model_path(), model_sha256(), tmp_path_factory.mktemp("cache"))


def options(decoding: Decoding = GREEDY, language: str | None = "en", **more: Any) -> Options:
    return Options(TaskKind.TRANSCRIBE, language, decoding, **more)


def outcome(engine: Engine, samples: Samples, asked: Options) -> Outcome:
    with ending():
        (found,) = engine.transcribe([Input("a", lambda: InMemory(samples), asked)])
    return found


def transcribe(engine: Engine, samples: Samples, asked: Options) -> Transcript:
    return outcome(engine, samples, asked).value()


def speech() -> Samples:
    return spoken("en", 970, 6.0)


@pytest.mark.parametrize("clips", [(Clip(0.0, 60.0),), (Clip(0.0, 4.0), Clip(4.0, 3600.0)), (Clip(0.0),)])
def test_a_clip_that_goes_past_the_end_is_cut_there(engine: Engine, clips: tuple[Clip, ...]) -> None:
    samples = speech()
    cut = tuple(dataclasses.replace(clip, end=min(6.0, clip.end or 6.0)) for clip in clips)
    expected = transcribe(engine, samples, options(clips=cut))
    assert expected.text.strip()
    assert transcribe(engine, samples, options(clips=clips)).segments == expected.segments


@pytest.mark.parametrize("language", ["en", None])
@pytest.mark.parametrize("clips", [(Clip(10.0, 20.0),), (Clip(10.0),), (Clip(3.001, 3.004),)])
def test_a_clip_without_any_audio_has_no_text(engine: Engine, clips: tuple[Clip, ...], language: str | None) -> None:
    transcript = transcribe(engine, speech(), options(language=language, clips=clips))
    assert (transcript.text, transcript.segments, transcript.audio_seconds) == ("", [], 6.0)


def test_chunks_of_a_clip_without_any_audio_have_no_text(engine: Engine, kind: EngineKind) -> None:
    if kind is not EngineKind.BATCHED:
        pytest.skip("this engine cuts no clip into chunks")
    decoding = dataclasses.replace(GREEDY, long_form=LongForm.CHUNKED)
    assert transcribe(engine, speech(), options(decoding, clips=(Clip(10.0, 20.0),))).segments == []


def test_a_clip_beyond_the_end_takes_nothing_from_those_before(engine: Engine) -> None:
    samples = speech()
    found = transcribe(engine, samples, options(clips=(Clip(0.0, 5.0), Clip(10.0, 20.0), Clip(30.0))))
    assert found.segments == transcribe(engine, samples, options(clips=(Clip(0.0, 5.0),))).segments


def test_the_language_of_a_clip_is_the_one_spoken_in_it(engine: Engine) -> None:
    samples = np.concatenate([spoken("en", 971, 40.0), spoken("pt", 972, 20.0)])
    seen: list[str] = []
    asked = Input(
        "a", lambda: InMemory(samples), options(language=None, clips=(Clip(40.0, 60.0),)), on_language=seen.append
    )
    with ending():
        (found,) = engine.transcribe([asked])
    assert (found.value().language, seen) == ("pt", ["pt"])
    assert (found.value().language_probability or 0.0) > 0.5


def test_clips_of_a_few_seconds_are_heard_together(engine: Engine) -> None:
    """The first of them is silent, and the file's other sound is of another language."""
    pause = np.zeros(16_000 * 2, np.float32)
    samples = np.concatenate([pause, spoken("en", 971, 40.0), spoken("pt", 972, 18.0)])
    clips = (Clip(0.0, 2.0), Clip(43.0, 48.0), Clip(50.0, 58.0))
    assert transcribe(engine, samples, options(language=None, clips=clips)).language == "pt"


PROMPTS = {
    "a special token": f"Notes end with {END_OF_TEXT}",
    "special tokens alone": "<|startoftranscript|><|pt|><|translate|><|0.00|>",
    "a byte that is no character": "Notes \udcff end",
    "control characters": "Notes\x00 \x1b[31mend\r\n\t\x7f",
    "nothing but a space": " ",
    "10,000 tokens": "\U0001f9ff\u0f00" * 1024,
}


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS)
def test_any_prompt_is_words(engine: Engine, prompt: str) -> None:
    samples = speech()
    transcript = transcribe(engine, samples, options(dataclasses.replace(GREEDY, initial_prompt=prompt)))
    assert transcript.audio_seconds == 6.0
    assert END_OF_TEXT not in transcript.text


def test_a_special_token_in_a_prompt_is_the_prompt_of_its_letters(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same text with the letters of the token spread over two words: what comes out is all but the same."""
    tokenizer = whisper.tokenizer.get_tokenizer(True)
    assert tokenizer.eot not in tokenizer.encoding.encode(f" {END_OF_TEXT}", disallowed_special=())
    samples = speech()
    plain = transcribe(engine, samples, options(dataclasses.replace(GREEDY, initial_prompt="<| endoftext |>")))
    token = transcribe(engine, samples, options(dataclasses.replace(GREEDY, initial_prompt=END_OF_TEXT)))
    assert token.text.strip()
    assert token.segments[0]["avg_logprob"] == pytest.approx(plain.segments[0]["avg_logprob"], abs=0.3)


def refused(engine: Engine, asked: Options) -> WorkerError:
    opened: list[bool] = []

    def never() -> InMemory:
        opened.append(True)
        return InMemory(speech())

    with ending():
        (found,) = engine.transcribe([Input("a", never, asked)])
    assert found.error is not None
    assert not opened, "the audio was opened"
    return found.error


REFUSED = {
    "spec.language: got 'yue', expected one of the 99 languages": options(language="yue"),
    "spec.languageDetection.default: got 'yue', expected one of the 99 languages": options(
        language=None, detection=LanguageDetection(min_probability=1.0, below=UncertainLanguage.DEFAULT, default="yue")
    ),
    "spec.decoding.suppressTokens: got 51865, expected tokens of the model: those below 51865": options(
        dataclasses.replace(GREEDY, suppress_tokens=(-1, 50000, 51865))
    ),
}


@pytest.mark.parametrize(("message", "asked"), REFUSED.items(), ids=["language", "default", "token"])
def test_what_the_models_vocabulary_lacks_is_refused_by_name(engine: Engine, message: str, asked: Options) -> None:
    error = refused(engine, asked)
    assert error.reason is reasons.MODEL_INVALID
    assert error.reason.permanent
    assert error.message.startswith(message)


ENDLESS = {
    "no end of text, words": {"suppress_tokens": (-1, 50257), "word_timestamps": True},
    "no timestamps": {"without_timestamps": True, "suppress_tokens": (50257,)},
    "no timestamps, words": {"without_timestamps": True, "word_timestamps": True, "suppress_tokens": (50257,)},
    "any silence": {"word_timestamps": True, "hallucination_silence_threshold": 0.0},
}


@pytest.mark.parametrize("decoding", ENDLESS.values(), ids=ENDLESS)
def test_every_window_leads_to_a_later_one(engine: Engine, decoding: dict[str, Any]) -> None:
    transcript = transcribe(engine, speech()[:8_000], options(dataclasses.replace(GREEDY, **decoding)))
    seeks = [segment["seek"] for segment in transcript.segments]
    assert seeks == sorted(seeks)
    assert transcript.counters.windows <= 50 / 2, "each is at least one timestamp further"


def changed_model(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> Path:
    checkpoint = torch.load(model_path(), weights_only=True)
    change(checkpoint["model_state_dict"])
    torch.save(checkpoint, folder / "model.pt")
    return folder / "model.pt"


def set_one(name: str, value: float) -> Callable[[dict[str, torch.Tensor]], None]:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors[name].flatten()[7] = value

    return change


@pytest.mark.parametrize("value", [float("nan"), float("inf")], ids=["NaN", "infinity"])
@pytest.mark.parametrize(
    "name", ["encoder.conv1.bias", "decoder.token_embedding.weight", "decoder.blocks.1.mlp.2.weight"]
)
def test_weights_that_are_no_numbers_are_refused_by_name(
    kind: EngineKind, name: str, value: float, tmp_path: Path
) -> None:
    path = changed_model(tmp_path, set_one(name, value))
    with pytest.raises(WorkerError, match=rf"spec\.model: got NaN or infinity in {name}") as caught:
        load(kind, path, "1" * 64, tmp_path)
    assert caught.value.reason is reasons.MODEL_INVALID


@pytest.mark.parametrize(("part", "language"), [("encoder.ln_post.weight", None), ("decoder.ln.weight", "en")])
def test_numbers_that_overflow_are_a_failure_and_no_transcript(
    kind: EngineKind, part: str, language: str | None, tmp_path: Path
) -> None:
    def enlarge(tensors: dict[str, torch.Tensor]) -> None:
        tensors[part] = torch.full_like(tensors[part], 3e38, dtype=torch.float32)

    engine = load(kind, changed_model(tmp_path, enlarge), "2" * 64, tmp_path)
    error = outcome(engine, speech(), options(language=language)).error
    assert error is not None
    assert error.reason is reasons.NUMERIC_OVERFLOW
    assert error.reason.permanent
    assert "spec.decoding.precision: got float32, in which the model gives NaN for this audio" in error.message


def test_json_of_every_engine_has_numbers_alone(engine: Engine) -> None:
    transcript = transcribe(engine, speech(), options(dataclasses.replace(GREEDY, word_timestamps=True)))
    json.dumps(transcript.segments, allow_nan=False)

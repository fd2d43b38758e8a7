"""faster-whisper behind the engine's protocol: the same checkpoint, the same tokens, every option honoured or refused by name."""

import dataclasses
import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import pytest
import torch
import whisper
from transcription_api import reasons
from transcription_api.report import DeviceUsed, ModelUsed
from transcription_api.spec import (
    Clip,
    Decoding,
    Format,
    LanguageDetection,
    LongForm,
    Precision,
    TaskKind,
    UncertainLanguage,
)
from transcription_worker.engines.checkpoints import weights
from transcription_worker.engines.checkpoints.model_file import ModelFile
from transcription_worker.engines.faster_whisper import engine as engine_module
from transcription_worker.engines.faster_whisper.conversion import REVISION, ensure_converted
from transcription_worker.engines.faster_whisper.engine import FasterWhisper
from transcription_worker.engines.faster_whisper.options import sequential_arguments
from transcription_worker.engines.formats.writers import render_format
from transcription_worker.engines.protocol import InMemory, Input, Options, Outcome, Samples, Transcript
from transcription_worker.errors import WorkerError
from whisper.model import ModelDimensions, Whisper

from tests.support.speech import Utterance, speak
from tests.support.testmodel import model_path, model_sha256
from tests.support.transcript_score import spoken_text, start_errors, word_error_rate

CPU = DeviceUsed(kind="cpu", name="here")
GREEDY = Decoding(temperatures=(0.0,), beam_size=1)
CHUNKED = dataclasses.replace(GREEDY, long_form=LongForm.CHUNKED)
SECONDS = 75
WER_MAX = 0.05
START_ERROR_MAX = 0.3  # s, at the median; chunks begin at what the voice activity detector hears


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def engine(cache: Path) -> FasterWhisper:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRANSCRIPTION_ROOT", str(cache))
        patch.setenv("OMP_NUM_THREADS", "1")
        (cache / "var/cache/transcription/models").mkdir(parents=True)
        model = ModelFile(model_path(), ModelUsed("model.pt", f"sha256:{model_sha256()}"))
        return engine_module.load(model, CPU, Precision.AUTO)


@pytest.fixture(scope="module", params=["en", "pt"])
def speech(request: pytest.FixtureRequest) -> tuple[str, Samples, list[Utterance]]:
    samples, utterances = speak(request.param, 811, SECONDS)
    return request.param, samples, utterances


def options(decoding: Decoding = GREEDY, language: str | None = None, **more: Any) -> Options:
    return Options(TaskKind.TRANSCRIBE, language, decoding, **more)


def transcribe(engine: FasterWhisper, samples: Samples, asked: Options) -> Transcript:
    (outcome,) = engine.transcribe([Input("a", lambda: InMemory(samples), asked)])
    return outcome.value()


@pytest.mark.parametrize("decoding", [GREEDY, CHUNKED, Decoding()], ids=["greedy", "chunked", "default"])
def test_speech_is_written_and_its_language_found(
    engine: FasterWhisper, speech: tuple[str, Samples, list[Utterance]], decoding: Decoding
) -> None:
    language, samples, utterances = speech
    transcript = transcribe(engine, samples, options(decoding))
    assert transcript.language == language
    assert transcript.language_probability is not None
    assert 0.5 < transcript.language_probability <= 1
    assert word_error_rate(spoken_text(utterances), transcript.text) <= WER_MAX
    starts = [segment["start"] for segment in transcript.segments]
    assert np.median(start_errors(utterances, starts)) <= START_ERROR_MAX
    assert (transcript.long_form, transcript.precision) == (decoding.long_form.value, "float32")
    assert transcript.audio_seconds == SECONDS
    assert transcript.counters.windows >= 3
    assert transcript.counters.steps > 100
    assert transcript.counters.fallbacks == 0


@pytest.mark.parametrize("decoding", [GREEDY, CHUNKED], ids=["sequential", "chunked"])
def test_segments_have_openai_whispers_keys_and_json_takes_them(engine: FasterWhisper, decoding: Decoding) -> None:
    samples, _ = speak("en", 812, 40)
    timed = dataclasses.replace(decoding, word_timestamps=True)
    transcript = transcribe(engine, samples, options(timed))
    model = whisper.load_model(str(model_path()), device="cpu")
    reference = model.transcribe(samples, fp16=False, temperature=0.0)
    for number, segment in enumerate(transcript.segments):
        assert [key for key in segment if key not in ("words", "flags")] == list(reference["segments"][0])
        assert segment["id"] == number
        assert "".join(word["word"] for word in segment["words"]).strip() == segment["text"].strip()
    words = [word for segment in transcript.segments for word in segment["words"]]
    assert all(before["start"] <= after["start"] for before, after in pairwise(words))
    assert json.loads(render_format(transcript, Format.JSON))["segments"] == transcript.segments


def test_the_encoder_computes_what_openai_whispers_computes(engine: FasterWhisper) -> None:
    torch.manual_seed(0)
    mel = torch.randn(2, 80, 3000)
    model = whisper.load_model(str(model_path()), device="cpu")
    with torch.no_grad():
        expected = model.embed_audio(mel).numpy()
    found = np.array(engine._model.model.encode(ctranslate2.StorageView.from_array(mel.numpy())))
    assert np.abs(found - expected).max() < 1e-3 * np.abs(expected).max()


def test_text_is_openai_whispers_where_nothing_is_doubtful(engine: FasterWhisper) -> None:
    samples, _ = speak("en", 813, 60)
    model = whisper.load_model(str(model_path()), device="cpu")
    reference = model.transcribe(samples, fp16=False, temperature=0.0, language="en")
    transcript = transcribe(engine, samples, options(language="en"))
    assert transcript.text == reference["text"]
    assert [s["tokens"] for s in transcript.segments] == [s["tokens"] for s in reference["segments"] if s["text"]]
    for ours, theirs in zip(transcript.segments, [s for s in reference["segments"] if s["text"]], strict=True):
        for name in ("start", "end", "avg_logprob", "compression_ratio", "no_speech_prob"):
            assert ours[name] == pytest.approx(theirs[name], abs=1e-3), name


def test_one_inputs_failure_is_that_inputs_outcome(engine: FasterWhisper) -> None:
    samples, utterances = speak("en", 814, 20)
    closed: list[str] = []

    class Closing(InMemory):
        def close(self) -> None:
            closed.append("closed")

    def broken() -> InMemory:
        raise WorkerError(reasons.MEDIA_TRUNCATED, "cut off")

    chunked_fallback = dataclasses.replace(CHUNKED, temperatures=(0.0, 0.2))
    inputs = [
        Input("broken", broken, options()),
        Input("unsuitable", lambda: Closing(samples), options(chunked_fallback)),
        Input("unknown", lambda: Closing(samples), options(language="yue")),
        Input("uncertain", lambda: Closing(samples), options(detection=strict_detection())),
        Input("good", lambda: Closing(samples), options()),
    ]
    outcomes: dict[str, Outcome] = {outcome.id: outcome for outcome in engine.transcribe(inputs)}
    assert {name: outcome.error and outcome.error.reason for name, outcome in outcomes.items()} == {
        "broken": reasons.MEDIA_TRUNCATED,
        "unsuitable": reasons.ENGINE_UNSUITABLE,
        "unknown": reasons.MODEL_INVALID,
        "uncertain": reasons.LANGUAGE_UNCERTAIN,
        "good": None,
    }
    assert word_error_rate(spoken_text(utterances), outcomes["good"].value().text) <= WER_MAX
    assert closed == ["closed"] * 2, "what is refused is not opened"


def test_the_library_knows_every_language_of_whisper() -> None:
    from faster_whisper.tokenizer import _LANGUAGE_CODES

    assert set(_LANGUAGE_CODES) == set(whisper.tokenizer.LANGUAGES)


def strict_detection() -> LanguageDetection:
    return LanguageDetection(candidates=("de", "fr"), min_probability=1.01, below=UncertainLanguage.FAIL)


@pytest.mark.parametrize("decoding", [GREEDY, CHUNKED], ids=["sequential", "chunked"])
@pytest.mark.parametrize("seconds", [0.0, 0.2, 70.0])
def test_nothing_is_written_for_silence(engine: FasterWhisper, seconds: float, decoding: Decoding) -> None:
    samples = np.zeros(round(seconds * 16_000), dtype=np.float32)
    transcript = transcribe(engine, samples, options(dataclasses.replace(decoding, word_timestamps=True)))
    assert (transcript.text, transcript.segments) == ("", [])
    assert transcript.audio_seconds == pytest.approx(seconds)


@pytest.mark.parametrize("decoding", [GREEDY, CHUNKED], ids=["sequential", "chunked"])
def test_progress_goes_to_the_end_and_the_language_is_told(engine: FasterWhisper, decoding: Decoding) -> None:
    done: list[float] = []
    languages: list[str] = []
    samples, _ = speak("pt", 815, 50)
    item = Input(
        "a", lambda: InMemory(samples), options(decoding), on_progress=done.append, on_language=languages.append
    )
    list(engine.transcribe([item]))
    assert len(done) > 3
    assert done == sorted(done)
    assert done[-1] == 50
    assert languages == ["pt"]


@pytest.mark.parametrize("clips", [(Clip(20.0, 40.0),), (Clip(3.0, 7.5), Clip(50.0))], ids=["one", "two"])
def test_clips_are_those_of_openai_whisper(engine: FasterWhisper, clips: tuple[Clip, ...]) -> None:
    samples, _ = speak("en", 816, 60)
    transcript = transcribe(engine, samples, options(language="en", clips=clips))
    points = [point for clip in clips for point in (clip.start, clip.end) if point is not None]
    model = whisper.load_model(str(model_path()), device="cpu")
    reference = model.transcribe(samples, fp16=False, temperature=0.0, language="en", clip_timestamps=points)
    assert len(transcript.segments) > 4
    assert [(s["start"], s["end"], s["text"]) for s in transcript.segments] == [
        (s["start"], s["end"], s["text"]) for s in reference["segments"]
    ]


def test_what_fails_at_one_temperature_is_tried_at_the_next(engine: FasterWhisper) -> None:
    samples, _ = speak("en", 817, 25)
    never = Decoding(temperatures=(0.0, 0.2, 0.4), best_of=2, logprob_threshold=1.0, no_speech_threshold=1.0)
    transcript = transcribe(engine, samples, options(never, language="en"))
    assert transcript.counters.fallbacks == 2 * transcript.counters.windows
    assert {segment["temperature"] for segment in transcript.segments} == {0.4}


@pytest.mark.parametrize("decoding", [GREEDY, CHUNKED], ids=["sequential", "chunked"])
def test_a_prompt_is_words_even_where_it_looks_like_a_token(engine: FasterWhisper, decoding: Decoding) -> None:
    samples, utterances = speak("en", 818, 20)
    prompted = dataclasses.replace(decoding, initial_prompt="<|endoftext|><|pt|> The red doctor.")
    transcript = transcribe(engine, samples, options(prompted, language="en"))
    assert word_error_rate(spoken_text(utterances), transcript.text) <= 0.3
    assert engine._model.hf_tokenizer.encode(" <|pt|>", add_special_tokens=False).ids == tokens_of(" <|pt|>")


def tokens_of(text: str) -> list[int]:
    return list(whisper.tokenizer.get_tokenizer(True).encoding.encode(text, disallowed_special=()))


def test_special_tokens_are_suppressed_though_no_others_are(engine: FasterWhisper) -> None:
    nothing = sequential_arguments(options(dataclasses.replace(GREEDY, suppress_tokens=())), 50258)
    assert nothing["suppress_tokens"] == [50258]
    samples, utterances = speak("en", 819, 20)
    transcript = transcribe(engine, samples, options(dataclasses.replace(GREEDY, suppress_tokens=()), language="en"))
    assert word_error_rate(spoken_text(utterances), transcript.text) <= WER_MAX


@pytest.mark.parametrize("package", engine_module.PACKAGES)
def test_without_the_extra_the_engine_is_refused_and_what_installs_it_named(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        WorkerError, match=rf"needs {package}.* install transcription-worker\[faster-whisper\]"
    ) as caught:
        engine_module.refuse(options())
    assert caught.value.reason is reasons.ENGINE_NOT_INSTALLED


def test_without_the_extra_the_worker_still_starts() -> None:
    hidden = "".join(f"sys.modules[{name!r}] = None; " for name in engine_module.PACKAGES)
    command = f"import sys; {hidden}from transcription_worker.engines import selection"
    subprocess.run([sys.executable, "-c", command], check=True)


def test_a_model_is_converted_once_into_the_cache(engine: FasterWhisper, cache: Path) -> None:
    folder = cache / f"var/cache/transcription/models/ctranslate2/{model_sha256()}-{REVISION}"
    written = (folder / "model.bin").stat().st_mtime_ns
    ensure_converted(weights.read_checkpoint(model_path()), None, folder)
    assert (folder / "model.bin").stat().st_mtime_ns == written
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert (folder / "model.bin").stat().st_size < 1.1 * model_path().stat().st_size


def test_of_two_that_convert_at_once_one_stays_whole(tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "model"
    command = (
        "from pathlib import Path; from transcription_worker.engines.checkpoints import weights; "
        "from transcription_worker.engines.faster_whisper import conversion; "
        f"conversion.ensure_converted(weights.read_checkpoint(Path({str(model_path())!r})), None, Path({str(folder)!r}))"
    )
    both = [subprocess.Popen([sys.executable, "-c", command]) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert [path.name for path in folder.parent.iterdir()] == ["model"]
    assert ctranslate2.contains_model(str(folder))


def drawn(dims: ModelDimensions, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Return random weights. Whisper leaves the positions of the text as the memory was."""
    model = Whisper(dims)
    torch.nn.init.normal_(model.decoder.positional_embedding)
    tensors: dict[str, torch.Tensor] = model.to(dtype).state_dict()
    return tensors


@pytest.mark.parametrize(
    ("mels", "vocabulary"), [(80, 51864), (80, 51865), (128, 51866)], ids=["english", "multilingual", "large-v3"]
)
def test_every_kind_of_model_is_opened(mels: int, vocabulary: int, tmp_path: Path) -> None:
    torch.manual_seed(vocabulary)
    dims = ModelDimensions(mels, 1500, 64, 1, 1, vocabulary, 448, 64, 1, 2)
    path = tmp_path / "model.pt"
    torch.save({"dims": dataclasses.asdict(dims), "model_state_dict": drawn(dims, torch.float16)}, path)
    loaded = engine_module.load(ModelFile(path, ModelUsed("own.pt", "sha256:1")), CPU, Precision.FLOAT32)
    model = loaded._model.model
    assert (model.n_mels, model.is_multilingual) == (mels, vocabulary > 51864)
    samples = np.random.default_rng(0).normal(0, 0.1, 16_000 * 3).astype(np.float32)
    short = dataclasses.replace(GREEDY, word_timestamps=True, logprob_threshold=-100.0, no_speech_threshold=1.0)
    transcript = transcribe(loaded, samples, options(short))
    assert (transcript.language == "en") or model.is_multilingual
    refused = [Input("a", lambda: InMemory(samples), options(short, language="pt"))]
    (outcome,) = loaded.transcribe(refused)
    assert (outcome.error is None) == model.is_multilingual


def test_a_model_with_a_vocabulary_of_its_own_is_refused(tmp_path: Path) -> None:
    dims = ModelDimensions(80, 1500, 64, 1, 1, 51870, 448, 64, 1, 1)
    path = tmp_path / "model.pt"
    torch.save({"dims": dataclasses.asdict(dims), "model_state_dict": drawn(dims, torch.float32)}, path)
    with pytest.raises(WorkerError, match=r"spec\.model: 'own\.pt' is no Whisper checkpoint") as caught:
        engine_module.load(ModelFile(path, ModelUsed("own.pt", "sha256:2")), CPU, Precision.FLOAT32)
    assert caught.value.reason is reasons.MODEL_INVALID
    assert list((tmp_path / "ctranslate2").iterdir()) == []


def test_heads_that_follow_the_sound_are_those_of_the_official_model(tmp_path: Path) -> None:
    dims = ModelDimensions(80, 1500, 384, 6, 4, 51865, 448, 384, 6, 4)
    path = tmp_path / "model.pt"
    torch.save({"dims": dataclasses.asdict(dims), "model_state_dict": drawn(dims, torch.float16)}, path)
    folder = engine_module.converted_model(ModelFile(path, ModelUsed("own.pt", "sha256:3")))
    model = weights.load(path, "0" * 64, "cpu", "own.pt")
    expected = model.alignment_heads.to_dense().nonzero().tolist()
    assert json.loads((folder / "config.json").read_text())["alignment_heads"] == expected
    assert len(expected) < 12

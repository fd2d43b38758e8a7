"""The batched engine reads its inputs lazily, treats each on its own, and never holds a whole one in memory."""

import dataclasses
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import whisper
from transcription_api import reasons
from transcription_api.spec import (
    Clip,
    LanguageDetection,
    LongForm,
    Precision,
    Quality,
    QualityPolicy,
    UncertainLanguage,
)
from transcription_worker.engines.batched.engine import PREFETCH_DEPTH, BatchedEngine
from transcription_worker.engines.batched.scheduling.scheduler import Scheduler
from transcription_worker.engines.protocol import InMemory, Input, Options, Samples
from transcription_worker.errors import WorkerError

from tests.support.engine_cases import GREEDY, SHORT, by_id, item, options, spoken
from tests.support.hallucination_audio import repeated
from tests.support.speech import speak
from tests.support.testmodel import model_path
from tests.support.transcript_score import spoken_text, word_error_rate


class Watched(InMemory):
    """An Audio that knows whether it was closed, and may fail when it is read."""

    def __init__(self, samples: Samples, fails_after: int | None = None) -> None:
        super().__init__(samples)
        object.__setattr__(self, "closed", threading.Event())
        object.__setattr__(self, "reads_left", fails_after)

    def read(self, start: int, count: int) -> Samples:
        left = self.reads_left  # type: ignore[attr-defined]
        if left is not None:
            if left == 0:
                raise OSError("the disk is gone")
            object.__setattr__(self, "reads_left", left - 1)
        return super().read(start, count)

    def close(self) -> None:
        self.closed.set()  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def model() -> Any:
    return whisper.load_model(str(model_path()), device="cpu")


def failing(error: Exception) -> Callable[[], Any]:
    def fail() -> Any:
        raise error

    return fail


def test_one_inputs_failure_is_that_inputs_outcome_and_all_audio_is_closed(model: Any) -> None:
    good, requested = spoken("en", 960, SHORT), options(GREEDY, language="en")
    unreadable = WorkerError(reasons.UNSUPPORTED_MEDIA, "cannot decode the source")
    audios = {"good": Watched(good), "breaks": Watched(good, fails_after=0), "also good": Watched(good)}
    # The audio is long enough to be read window by window after the first pass.
    audios["breaks later"] = Watched(np.tile(good, 40), fails_after=9)
    inputs = [
        Input("missing", failing(unreadable), requested),
        Input("defect", failing(ZeroDivisionError("canary")), requested),
        *(Input(name, lambda audio=audio: audio, requested) for name, audio in audios.items()),  # type: ignore[misc]
    ]
    found = by_id(BatchedEngine(model, batch=3).transcribe(inputs))
    assert found["missing"].error is unreadable
    for name in ("defect", "breaks", "breaks later"):
        error = found[name].error
        assert error is not None, name
        assert error.reason is reasons.INTERNAL_ERROR
        assert "canary" not in error.message
    assert found["good"].value().text == found["also good"].value().text != ""
    assert all(audio.closed.is_set() for audio in audios.values())  # type: ignore[attr-defined]


def test_outcomes_come_as_they_are_done(model: Any) -> None:
    inputs = [item("long", spoken("en", 961, 90)), item("short", spoken("en", 962, SHORT))]
    assert [outcome.id for outcome in BatchedEngine(model, batch=2).transcribe(inputs)] == ["short", "long"]


def test_inputs_are_taken_as_there_is_room_for_them_and_the_rest_stays_when_nobody_asks(model: Any) -> None:
    samples, taken = spoken("en", 963, SHORT), list[Watched]()

    def endless() -> Iterator[Input]:
        while True:
            audio = Watched(samples)
            taken.append(audio)
            yield Input(str(len(taken)), lambda audio=audio: audio, options(GREEDY, language="en"))  # type: ignore[misc]

    batch = 2
    outcomes = BatchedEngine(model, batch=batch).transcribe(endless())
    assert next(outcomes).value().text
    assert len(taken) <= 2 * batch + PREFETCH_DEPTH + 1
    outcomes.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("scheduler", "prefetch"))]
    opened = [audio for audio in taken if audio.closed.is_set()]  # type: ignore[attr-defined]
    # The files that were not open yet were never opened.
    assert len(opened) >= len(taken) - PREFETCH_DEPTH


def test_a_defect_of_a_scheduler_is_raised_where_outcomes_are_taken_and_all_end(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Scheduler, wait: bool) -> bool:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(Scheduler, "run_once", broken)
    audio = Watched(spoken("en", 960, SHORT))
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError, match="a defect"):
        list(BatchedEngine(model).transcribe([Input("a", lambda: audio, options(GREEDY, language="en"))]))
    assert threading.active_count() == before
    assert audio.closed.is_set()  # type: ignore[attr-defined]


def test_no_inputs_give_no_outcomes(model: Any) -> None:
    assert list(BatchedEngine(model, batch=4).transcribe([])) == []


def test_the_counters_tell_the_work(model: Any) -> None:
    outcome = next(BatchedEngine(model).transcribe([item("a", spoken("en", 964, 65))]))
    transcript = outcome.value()
    assert transcript.audio_seconds == 65
    assert transcript.counters.windows >= 3
    tokens = sum(len(segment["tokens"]) for segment in transcript.segments)
    assert transcript.counters.steps >= tokens
    assert transcript.precision == "float32"
    assert transcript.long_form == "sequential"


def test_bfloat16_gives_nearly_the_same_text(model: Any) -> None:
    samples, utterances = speak("en", 965, 40)
    halved = whisper.load_model(str(model_path()), device="cpu")
    outcome = next(BatchedEngine(halved, Precision.BFLOAT16).transcribe([item("a", samples)]))
    assert outcome.value().precision == "bfloat16"
    assert word_error_rate(spoken_text(utterances), outcome.value().text) <= 0.05


def test_int8_gives_nearly_the_same_text_whatever_else_is_in_the_batch() -> None:
    samples, utterances = speak("en", 965, 40)
    model = whisper.load_model(str(model_path()), device="cpu")
    engine = BatchedEngine(model, Precision.INT8, batch=4)
    alone = next(engine.transcribe([item("a", samples)])).value()
    loud = [item(str(number), speak("pt", 970 + number, 20)[0] * 3) for number in range(3)]
    together = by_id(engine.transcribe([*loud, item("a", samples)]))["a"].value()
    assert alone.precision == "int8"
    assert word_error_rate(spoken_text(utterances), alone.text) <= 0.05
    assert together.text == alone.text


def test_float8_gives_nearly_the_same_text_from_half_the_memory_of_the_audio(model: Any) -> None:
    samples, utterances = speak("en", 965, 40)
    engine = BatchedEngine(whisper.load_model(str(model_path()), device="cpu"), Precision.FLOAT8, batch=4)
    found = next(engine.transcribe([item("a", samples)])).value()
    exact = next(BatchedEngine(model).transcribe([item("a", samples)])).value()
    assert found.precision == "float8"
    assert word_error_rate(spoken_text(utterances), found.text) <= 0.05
    assert [one["avg_logprob"] for one in found.segments] != [one["avg_logprob"] for one in exact.segments]


def test_float16_on_a_cpu_is_refused_by_name(model: Any) -> None:
    with pytest.raises(WorkerError, match=r"spec\.decoding\.precision: got 'float16' on a CPU, expected auto"):
        BatchedEngine(model, Precision.FLOAT16)


@pytest.mark.parametrize("language", ["en", "pt"])
def test_a_long_file_in_chunks_has_the_words_of_the_whole(model: Any, language: str) -> None:
    samples, utterances = speak(language, 980, 240)
    requested = options(GREEDY | {"long_form": LongForm.CHUNKED})
    seconds: list[float] = []
    one = dataclasses.replace(item("a", samples, requested), on_progress=seconds.append)
    transcript = next(BatchedEngine(model, batch=8).transcribe([one])).value()
    assert transcript.long_form == "chunked"
    assert transcript.language == language
    assert word_error_rate(spoken_text(utterances), transcript.text) <= 0.05
    assert [segment["id"] for segment in transcript.segments] == list(range(len(transcript.segments)))
    starts = [segment["start"] for segment in transcript.segments]
    assert starts == sorted(starts)
    assert transcript.text == "".join(segment["text"] for segment in transcript.segments)
    assert seconds == sorted(seconds)
    assert seconds[-1] <= 240


def test_one_clip_in_chunks_stays_inside_the_clip(model: Any) -> None:
    requested = options(GREEDY | {"long_form": LongForm.CHUNKED}, clips=(Clip(20.0, 75.0),))
    transcript = next(BatchedEngine(model).transcribe([item("a", spoken("en", 981, 120), requested)])).value()
    assert transcript.segments[0]["start"] >= 20
    assert transcript.segments[-1]["start"] < 75  # a timestamp may point into what fills the last window up


def languages(**detection: Any) -> Options:
    return dataclasses.replace(options(GREEDY), detection=LanguageDetection(**detection))


def test_several_windows_outvote_a_first_one_in_another_language(model: Any) -> None:
    samples = np.concatenate([spoken("en", 982, 30), spoken("pt", 983, 60)])
    first = next(BatchedEngine(model).transcribe([item("a", samples, languages(windows=1))])).value()
    spread = next(BatchedEngine(model).transcribe([item("a", samples, languages(windows=3))])).value()
    assert (first.language, spread.language) == ("en", "pt")
    assert spread.language_probability is not None
    assert 0.5 < spread.language_probability < 0.9


def test_a_language_below_the_minimum_fails_or_takes_the_default(model: Any) -> None:
    samples = np.concatenate([spoken("en", 982, 30), spoken("pt", 983, 30)])
    fails = languages(windows=2, min_probability=0.9, below=UncertainLanguage.FAIL)
    takes = languages(windows=2, min_probability=0.9, below=UncertainLanguage.DEFAULT, default="pt")
    found = by_id(BatchedEngine(model).transcribe([item("fails", samples, fails), item("takes", samples, takes)]))
    error = found["fails"].error
    assert error is not None
    assert error.reason is reasons.LANGUAGE_UNCERTAIN
    assert "spec.languageDetection.minProbability: got" in error.message
    assert found["takes"].value().language == "pt"


def test_only_candidates_are_languages(model: Any) -> None:
    requested = languages(candidates=("pt", "es"))
    transcript = next(BatchedEngine(model).transcribe([item("a", spoken("en", 984, 20), requested)])).value()
    assert transcript.language in ("pt", "es")


# Text that the thresholds would refuse is kept, so that there is something to flag.
LENIENT = {"compression_ratio_threshold": 1000.0, "logprob_threshold": -1000.0, "no_speech_threshold": 1.0}


def test_a_flagged_window_is_decoded_again_and_the_better_text_is_kept(model: Any) -> None:
    looped = repeated("One two.", "en")
    lenient = options(LENIENT | {"beam_size": 1}, language="en")
    warned, retried = (
        dataclasses.replace(lenient, quality=Quality(policy)) for policy in (QualityPolicy.WARN, QualityPolicy.RETRY)
    )
    found = by_id(BatchedEngine(model).transcribe([item("warn", looped, warned), item("retry", looped, retried)]))
    assert any("repetition-loop" in segment.get("flags", ()) for segment in found["warn"].value().segments)
    assert found["warn"].value().counters.retried == 0
    assert found["retry"].value().counters.retried >= 1


def test_unflagged_speech_is_not_decoded_again(model: Any) -> None:
    requested = dataclasses.replace(options(GREEDY), quality=Quality(QualityPolicy.RETRY))
    transcript = next(BatchedEngine(model).transcribe([item("a", spoken("en", 985, 60), requested)])).value()
    assert transcript.counters.retried == 0
    assert not any("flags" in segment for segment in transcript.segments)

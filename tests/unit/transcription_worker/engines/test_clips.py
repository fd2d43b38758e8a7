"""Clips end with the audio, and the language is detected in what they hold."""

import pytest
from transcription_api.spec import Clip, Decoding, TaskKind
from transcription_worker.engines.clips import FrameRange, clip_timestamps, frame_clips
from transcription_worker.engines.protocol import Options
from transcription_worker.engines.spoken_language import detection_windows


def options(*clips: Clip) -> Options:
    return Options(TaskKind.TRANSCRIBE, "en", Decoding(), clips=clips)


@pytest.mark.parametrize(
    ("clips", "expected"),
    [
        ((), [(0, 900)]),
        ((Clip(0.0, 60.0),), [(0, 900)]),
        ((Clip(1.5, 4.0), Clip(8.0)), [(150, 400), (800, 900)]),
        ((Clip(1.0, 2.0), Clip(9.0, 20.0), Clip(30.0)), [(100, 200)]),
        ((Clip(1.001, 1.004),), []),
    ],
)
def test_clips_end_with_the_audio(clips: tuple[Clip, ...], expected: list[FrameRange]) -> None:
    assert frame_clips(options(*clips), 900) == expected


@pytest.mark.parametrize(
    ("clips", "expected"),
    [
        ((), [0.0]),
        ((Clip(0.0, 60.0),), [0.0, 9.0]),
        ((Clip(0.29, 8.29), Clip(8.57)), [0.29, 8.29, 8.57, 9.0]),
        ((Clip(10.0, 20.0),), [0.0, 0.0]),
    ],
)
def test_whisper_is_told_no_place_beyond_the_audio(clips: tuple[Clip, ...], expected: list[float]) -> None:
    assert clip_timestamps(options(*clips), 900) == expected


@pytest.mark.parametrize(
    ("clips", "frames", "count", "expected"),
    [
        pytest.param([(0, 9000)], 9000, 1, [[(0, 3000)]], id="the file's first window, as in openai-whisper"),
        pytest.param([(0, 9000)], 9000, 3, [[(0, 3000)], [(3000, 6000)], [(6000, 9000)]], id="spread over the file"),
        pytest.param([(0, 900)], 900, 3, [[(0, 3000)]], id="a short file, with the silence after it"),
        pytest.param([(0, 0)], 0, 3, [[(0, 3000)]], id="an empty file"),
        pytest.param([], 900, 3, [[(900, 3900)]], id="clips without audio"),
        pytest.param([(4000, 6000)], 9000, 3, [[(4000, 6000)]], id="nothing outside the clip"),
        pytest.param([(8000, 9000)], 9000, 1, [[(8000, 11000)]], id="a clip to the end, with the silence after it"),
        pytest.param(
            [(0, 200), (1000, 1500), (4000, 9000)],
            9000,
            1,
            [[(0, 200), (1000, 1500), (4000, 6300)]],
            id="several clips are heard together",
        ),
        pytest.param(
            [(0, 3000), (5000, 8000)], 9000, 2, [[(0, 3000)], [(5000, 8000)]], id="no window crosses a gap needlessly"
        ),
        pytest.param(
            [(0, 2000), (5000, 8000)],
            9000,
            2,
            [[(0, 2000), (5000, 6000)], [(5000, 8000)]],
            id="a window over the gap joins what is on both sides",
        ),
    ],
)
def test_the_language_is_detected_in_what_is_transcribed(
    clips: list[FrameRange], frames: int, count: int, expected: list[list[FrameRange]]
) -> None:
    assert detection_windows(clips, frames, count) == expected

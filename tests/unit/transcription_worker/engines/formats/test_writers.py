"""Result files equal openai-whisper's, and no text breaks them: other libraries read back what was written."""

import csv
import dataclasses
import html
import io
import itertools
import json
import random
import re
from datetime import timedelta
from typing import Any

import pytest
import srt
import webvtt
import whisper.utils
from transcription_api.spec import Format, Subtitles
from transcription_worker.engines.formats.writers import render_format
from transcription_worker.engines.protocol import Transcript

Segment = dict[str, Any]

OPTIONS = (
    Subtitles(),
    Subtitles(max_line_width=24),
    Subtitles(max_line_width=30, max_line_count=2),
    Subtitles(max_line_width=12, max_line_count=1, highlight_words=True),
    Subtitles(max_words_per_line=3),
    Subtitles(max_words_per_line=4, highlight_words=True),
    Subtitles(highlight_words=True),
)
WORDS = (
    " The", " quick", " brown", " fox,", " São", " Paulo", " é", " grande.", " 東京", "都", " AT&T", " R&D", " 5", " -",
    " well-known", " \"quoted\"", " 3.14", " 2026-11-05", " C++", " >", " naïve", " 🎉", " 12:30",
)  # fmt: skip
HOSTILE = (
    "-->", "--->", "----->", "-- >", "00:00:00.000 --> 00:00:09.000", "00:00:00,000 --> 00:00:09,000", "<i>", "</i>",
    "<v Mary>", "<u>", "<00:00:01.000>", "<", "< 5", "a<b>c", "&", "&amp;", "&lt;i&gt;", "&copy", "&#60;", "&#x3c",
    "&notit;", "WEBVTT", "NOTE", "NOTE x", "STYLE", "REGION", "1", "2", "17", "12.5", "1.2.3", "00:00:01,000", "\n",
    "\n\n", "\n \n", "\r", "\r\n\r\n", "\t", "\x00", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\ufdd0",
    "\ufdd1", "\ufeff", "{\\an8}", "::cue {color: red}", "->", "word", "--", ">",
)  # fmt: skip


def transcript_of(segments: list[Segment]) -> Transcript:
    return Transcript("".join(one["text"] for one in segments), segments, "en", 0.9, 60.0)


def segment(number: int, start: float, words: list[str], timed: bool) -> Segment:
    """Return a segment whose words follow each other with pauses that depend only on their place."""
    times = [start + 0.3 * place + (4.0 if place > 6 else 0.0) for place in range(len(words) + 1)]
    made: Segment = {
        "id": number,
        "seek": 0,
        "start": start,
        "end": times[-1],
        "text": "".join(words),
        "tokens": list(range(len(words))),
        "temperature": 0.0,
        "avg_logprob": -0.25,
        "compression_ratio": 1.2,
        "no_speech_prob": 0.01,
    }
    if timed:
        made["words"] = [
            {"word": word, "start": at, "end": at + 0.25, "probability": 0.9}
            for word, at in zip(words, times, strict=False)
        ]
    return made


def drawn(seed: int, vocabulary: tuple[str, ...], timed: bool) -> Transcript:
    draw = random.Random(seed)
    starts = itertools.accumulate(
        (draw.uniform(12, 42) for _ in range(draw.randrange(7))), initial=draw.uniform(0, 4000)
    )
    lengths = (draw.choice((0, 1, 3, 9, 25)) for _ in itertools.count())
    return transcript_of(
        [
            segment(number, start, [draw.choice(vocabulary) for _ in range(length)], timed)
            for number, (start, length) in enumerate(zip(starts, lengths, strict=False))
        ]
    )


def of_the_library(transcript: Transcript, fmt: Format, options: Subtitles) -> bytes:
    result = {"text": transcript.text, "segments": transcript.segments, "language": transcript.language}
    out = io.StringIO()
    whisper.utils.get_writer(fmt.value, "").write_result(result, out, dataclasses.asdict(options))
    return out.getvalue().encode()


def with_text(transcript: Transcript, fmt: Format) -> Transcript:
    """Return the transcript without the segments that formats with times leave out: those without a text."""
    if fmt in (Format.JSON, Format.TXT):
        return transcript
    return dataclasses.replace(transcript, segments=[one for one in transcript.segments if one["text"]])


def shown(text: str) -> str:
    """Return what a reader should see of a text, independently of the code under test."""
    lines = [line for line in cleaned(text).split("\n") if line.strip()]
    return re.sub("-{2,}>", "->", "\n".join(lines).strip())


def cleaned(text: str) -> str:
    text = re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufdd0\ufdd1]", " ", text)
    return re.sub("\r\n?", "\n", text)


def squeezed(text: str) -> str:
    """Return the text without spaces and long arrows, which are shortened in a cue or beside a highlighted word's tag."""
    return re.sub("-{2,}>", "->", "".join(text.split()))


def vtt_cues(written: bytes) -> list[tuple[str, str, str]]:
    read = webvtt.from_string(written.decode(), strict=True)
    assert not read.styles
    assert not read.regions
    assert not read.header_comments
    assert not read.footer_comments
    return [(cue.start, cue.end, html.unescape(cue.text)) for cue in read.captions]


def srt_cues(written: bytes) -> list[tuple[timedelta, timedelta, str]]:
    read = list(srt.parse(written.decode()))
    assert [cue.index for cue in read] == list(range(1, len(read) + 1))
    return [(cue.start, cue.end, cue.content) for cue in read]


@pytest.mark.parametrize("timed", [False, True], ids=["segments", "words"])
@pytest.mark.parametrize("fmt", list(Format))
def test_every_byte_is_openai_whispers(fmt: Format, timed: bool) -> None:
    written = 0
    for seed, options in itertools.product(range(60), OPTIONS):
        transcript = drawn(seed, WORDS, timed)
        expected = of_the_library(with_text(transcript, fmt), fmt, options)
        assert render_format(transcript, fmt, options) == expected, (seed, options)
        written += len(transcript.segments)
    assert written > 1000


@pytest.mark.parametrize("fmt", [Format.SRT, Format.VTT])
def test_options_that_break_lines_change_the_file(fmt: Format) -> None:
    transcript = drawn(3, WORDS, timed=True)
    assert len({render_format(transcript, fmt, options) for options in OPTIONS}) == len(OPTIONS)


def test_a_vtt_shows_each_segment_as_it_was_said() -> None:
    for seed in range(300):
        transcript = with_text(drawn(seed, HOSTILE, timed=False), Format.VTT)
        cues = vtt_cues(render_format(transcript, Format.VTT))
        assert [text for _, _, text in cues] == [shown(one["text"]) for one in transcript.segments], seed
        times = [(one["start"], one["end"]) for one in transcript.segments]
        assert [(start, end) for start, end, _ in cues] == [(clock(start), clock(end)) for start, end in times], seed


def clock(seconds: float) -> str:
    return str(whisper.utils.format_timestamp(seconds, always_include_hours=True))


def test_an_srt_keeps_each_segment_as_it_was_said() -> None:
    for seed in range(300):
        transcript = with_text(drawn(seed, HOSTILE, timed=False), Format.SRT)
        cues = srt_cues(render_format(transcript, Format.SRT))
        expected = [(one["start"], one["end"], one["text"]) for one in transcript.segments]
        assert len(cues) == len(expected), seed
        for (start, end, text), (said_start, said_end, said) in zip(cues, expected, strict=True):
            assert start.total_seconds() == pytest.approx(said_start, abs=6e-4)
            assert end.total_seconds() == pytest.approx(said_end, abs=6e-4)
            # A number above what looks like a time shares its line.
            assert text.split() == shown(said).split(), seed


@pytest.mark.parametrize("options", OPTIONS)
def test_cues_broken_by_words_keep_their_count_and_their_text(options: Subtitles) -> None:
    for seed in range(150):
        transcript = with_text(drawn(seed, HOSTILE, timed=True), Format.VTT)
        expected = layout(transcript, options)
        vtt = [text for _, _, text in vtt_cues(render_format(transcript, Format.VTT, options))]
        # Remove the tag of the highlighted word, which is the writer's own.
        read = [re.sub("</?u>", "", text) for _, _, text in srt_cues(render_format(transcript, Format.SRT, options))]
        assert [squeezed(text) for text in vtt] == [squeezed(shown(text)) for text in expected], seed
        assert [squeezed(text) for text in read] == [squeezed(re.sub("</?u>", "", shown(text))) for text in expected], (
            seed
        )


def layout(transcript: Transcript, options: Subtitles) -> list[str]:
    """Return the texts of the cues that openai-whisper makes, without the tags of highlighted words."""
    marked = [
        one | {"words": [word | {"word": cleaned(word["word"]).replace("<", "\ue000")} for word in one["words"]]}
        for one in transcript.segments
    ]
    cues = whisper.utils.WriteSRT("").iterate_result({"segments": marked}, dataclasses.asdict(options))
    return [re.sub("</?u>", "", text).replace("\ue000", "<") for _, _, text in cues]


def test_an_arrow_that_openai_whisper_leaves_is_made_harmless() -> None:
    transcript = transcript_of([segment(0, 0.0, [" a", " ---> b"], timed=False)])
    assert b"a --> b" in of_the_library(transcript, Format.VTT, Subtitles())
    assert vtt_cues(render_format(transcript, Format.VTT))[0][2] == "a -> b"


def test_an_ampersand_is_escaped_only_where_it_would_be_read_as_something_else() -> None:
    transcript = transcript_of([segment(0, 0.0, [" AT&T", " R&D", " & co", " &amp;", " &copycat"], timed=False)])
    assert b"AT&T R&D & co &amp;amp; &amp;copycat" in render_format(transcript, Format.VTT)


def test_markup_is_counted_as_it_is_shown_when_lines_are_broken() -> None:
    words = [" <b>", " &lt;", " six"]
    narrow = Subtitles(max_line_width=len("<b> &lt;"))
    cue = vtt_cues(render_format(transcript_of([segment(0, 0.0, words, timed=True)]), Format.VTT, narrow))[0][2]
    assert cue == "<b> &lt;\nsix"


def test_a_number_above_a_time_is_no_new_cue() -> None:
    transcript = transcript_of([segment(0, 0.0, [" page\n5\n12.03.2026 at ten\n6"], timed=False)])
    with pytest.raises(srt.SRTParseError):
        srt_cues(of_the_library(transcript, Format.SRT, Subtitles()))
    assert srt_cues(render_format(transcript, Format.SRT))[0][2] == "page\n5 12.03.2026 at ten\n6"


@pytest.mark.parametrize("fmt", [Format.SRT, Format.VTT])
def test_a_segment_that_transcribe_has_emptied_does_not_fail_the_others(fmt: Format) -> None:
    emptied = segment(0, 0.0, [], timed=True)  # with words, though nobody asked
    transcript = transcript_of([emptied, segment(1, 2.0, [" said"], timed=False)])
    with pytest.raises(KeyError, match="words"):
        of_the_library(transcript, fmt, Subtitles())
    assert render_format(transcript, fmt) == of_the_library(with_text(transcript, fmt), fmt, Subtitles())


def test_a_tsv_has_a_row_for_each_text_and_a_txt_a_line_for_each_segment() -> None:
    for seed in range(200):
        transcript = drawn(seed, HOSTILE, timed=False)
        rows = list(
            csv.reader(io.StringIO(render_format(transcript, Format.TSV).decode()), "excel-tab", quoting=csv.QUOTE_NONE)
        )
        assert rows[0] == ["start", "end", "text"]
        timed = with_text(transcript, Format.TSV).segments
        assert [len(row) for row in rows] == [3] * (len(timed) + 1), seed
        assert [int(row[0]) for row in rows[1:]] == [round(1000 * one["start"]) for one in timed]
        lines = render_format(transcript, Format.TXT).decode().splitlines()
        assert len(lines) == len(transcript.segments), seed
        assert [line.split() for line in lines if line] == [row[2].split() for row in rows[1:] if row[2].strip()]


def test_a_json_holds_any_text_and_no_number_that_json_lacks() -> None:
    transcript = drawn(7, HOSTILE, timed=True)
    broken = segment(9, 1.0, [" x"], timed=True) | {"avg_logprob": float("-inf"), "no_speech_prob": float("nan")}
    assert json.loads(render_format(transcript, Format.JSON))["segments"] == transcript.segments
    read = json.loads(render_format(transcript_of([broken]), Format.JSON), parse_constant=pytest.fail)
    assert read["segments"] == [broken | {"avg_logprob": None, "no_speech_prob": None}]


def test_a_result_without_segments_is_a_file_without_cues() -> None:
    for fmt in Format:
        nothing = transcript_of([])
        assert render_format(nothing, fmt) == of_the_library(nothing, fmt, Subtitles())


# --- cues of no length


def instants(timed: bool) -> Transcript:
    """Return segments of which the first and the last have no length, and one was emptied as transcribe does."""
    made = [segment(0, 0.0, [" Oh"], timed), segment(1, 3.0, [" a", " b"], timed), segment(2, 4.0, [" ah"], timed)]
    for one, start in ((made[0], 0.0), (made[2], 8.94)):
        one |= {"start": start, "end": start}
        for word in one.get("words", ()):
            word |= {"start": start, "end": start}
    return transcript_of([*made, segment(3, 8.94, [], timed) | {"end": 8.94}])


@pytest.mark.parametrize("timed", [False, True], ids=["segments", "words"])
@pytest.mark.parametrize("options", OPTIONS)
def test_no_cue_ends_as_it_starts_and_none_after_the_last_time(options: Subtitles, timed: bool) -> None:
    transcript = instants(timed)
    subtitles = srt_cues(render_format(transcript, Format.SRT, options))
    assert all(start < end <= timedelta(seconds=8.94) for start, end, _ in subtitles)
    captions = vtt_cues(render_format(transcript, Format.VTT, options))
    assert all(start < end for start, end, _ in captions)
    assert len(captions) == len(subtitles) >= 2
    assert "ah" in subtitles[-1][2]


def test_no_row_of_a_tsv_ends_as_it_starts() -> None:
    rows = render_format(instants(timed=False), Format.TSV).decode().splitlines()[1:]
    assert rows == ["0\t20\tOh", "3000\t3600\ta b", "8920\t8940\tah"]


def test_a_cue_of_no_length_around_an_hour_keeps_its_place() -> None:
    transcript = transcript_of([segment(0, 3600.0, [" x"], timed=False) | {"end": 3600.0}])
    (caption,) = vtt_cues(render_format(transcript, Format.VTT))
    assert caption == ("00:59:59.980", "01:00:00.000", "x")

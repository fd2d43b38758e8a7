"""The check for a GPU that is there for minutes runs to its end on a CPU."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import torch

from benchmarks.engines.random_models import random_model
from benchmarks.gpu_check import __main__ as command
from benchmarks.gpu_check.figures import read_figures
from benchmarks.gpu_check.parts import files, precision, processors, start, windows
from benchmarks.gpu_check.plan import make_plan

SMALL = ("--size", "tiny", "--tokens", "4")


@pytest.fixture(autouse=True)
def _same_threads() -> Iterator[None]:
    """A part uses all cores, as the worker does."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_the_command_runs_a_part_and_leaves_figures_and_report(tmp_path: Path) -> None:
    assert command.main(["--device", "cpu", "--out", str(tmp_path), "--parts", "device"]) == 0
    report = (tmp_path / "report.md").read_text()
    assert "| device | products in float32 |" in report
    assert "| device | ok |" in report
    assert "device: a copy, read and written: " in (tmp_path / "log.txt").read_text()


def test_doctor_is_part_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    doctor = make_plan(command.make_parser().parse_args(["--device", "cpu"]), tmp_path)[0]
    with pytest.raises(SystemExit, match=r"^0$"):
        exec(doctor.command[1], {})  # noqa: S102 - python -c does, in a process of its own
    assert "runs on:   cpu" in capsys.readouterr().out


Main = Callable[[Sequence[str]], int]
PARTS: dict[str, tuple[Main, tuple[str, ...], list[str]]] = {
    "windows": (
        windows.main,
        (*SMALL, "--windows", "1", "--rounds", "1"),
        ["greedy, 4 tokens", "MLPerf's shape", "5 beams with timestamps", "share of the roofline"],
    ),
    "float8": (
        windows.main,
        (*SMALL, "--windows", "1", "--rounds", "1", "--precision", "float8"),
        ["float8, greedy, 4 tokens", "float8, 5 beams with timestamps", "share of the roofline"],
    ),
    "files": (
        files.main,
        (*SMALL, "--files", "1"),
        ["ffmpeg alone", "silence detection off: mp3 files to transcripts", "silence detection on: mp3"],
    ),
    "precision": (
        precision.main,
        ("--files", "1"),
        [f"{name} beside float32, greedy: files with the same text" for name in ("bfloat16", "float8")],
    ),
    "processors": (processors.main, (*SMALL, "--windows", "1"), ["tiny on CPU", "over the CPU"]),
}


@pytest.mark.parametrize("name", PARTS)
def test_a_part_leaves_its_figures(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "SPOKEN_SECONDS", 35.0)
    main, given, wanted = PARTS[name]
    path = tmp_path / "figures.jsonl"
    assert main(["--figures", str(path), "--part", name, "--device", "cpu", *given]) == 0
    found = read_figures(path)
    assert all(one.part == name and one.value >= 0 for one in found)
    for words in wanted:
        assert any(words in one.name for one in found), f"{words}: not among {[one.name for one in found]}"


def test_each_stage_of_a_start_is_told_as_it_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, model = tmp_path / "model.pt", random_model("tiny", 4)
    torch.save({"dims": dataclasses.asdict(model.dims), "model_state_dict": model.state_dict()}, path)
    start.first_window(path, "cpu")
    stages = [line.partition("\t")[0] for line in capsys.readouterr().out.splitlines() if "\t" in line]
    assert stages[:3] == ["imports", "the model's load", "kernels tried and chosen"]
    assert stages[3:] == ["the first window, graphs recorded", "the second window"]


def test_words_that_differ_are_counted_as_in_a_word_error_rate() -> None:
    assert precision.word_error_rate(["one two three", "four"], ["one too three", "four five"]) == 0.5
    assert precision.word_error_rate([""], [""]) == 0.0

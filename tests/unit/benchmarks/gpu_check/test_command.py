"""Each part's result is on disk as soon as it is there, whatever becomes of those after it."""

import io
import os
from pathlib import Path

import pytest

from benchmarks.gpu_check.__main__ import Check, main, make_parser
from benchmarks.gpu_check.bundle import Unpacked
from benchmarks.gpu_check.figures import Figures, read_figures, table
from benchmarks.gpu_check.goals import goal
from benchmarks.gpu_check.plan import Part, make_plan

HERE = Unpacked(dict(os.environ), ("a note",))


def check(out: Path, seconds: float = 60.0) -> Check:
    (out / "figures.jsonl").touch()
    return Check(out, io.StringIO(), HERE, seconds)


def part(name: str, program: str, limit: float = 10.0) -> Part:
    return Part(name, "a part", limit, ("-S", "-c", program))


def test_the_parts_after_one_that_fails_run_and_the_check_fails(tmp_path: Path) -> None:
    assert check(tmp_path).run([part("first", "raise SystemExit(1)"), part("second", "print('here')")]) == 1
    report = (tmp_path / "report.md").read_text()
    assert "| first | failed with exit code 1 |" in report
    assert "| second | ok |" in report


def test_the_report_is_written_after_each_part(tmp_path: Path) -> None:
    seen = f"import pathlib; print(pathlib.Path({str(tmp_path / 'report.md')!r}).read_text())"
    found = check(tmp_path)
    assert found.run([part("first", "pass"), part("second", seen)]) == 0
    assert isinstance(found._log, io.StringIO)
    assert found._log.getvalue().count("| first | ok |") == 2


def test_no_part_begins_or_goes_on_once_the_time_is_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.gpu_check.__main__.LEAST_SECONDS", 0.5)
    parts = [part("first", "import time; time.sleep(60)", limit=60), part("second", "pass")]
    assert check(tmp_path, seconds=1.0).run(parts) == 1
    report = (tmp_path / "report.md").read_text()
    assert "| first | not done after 1 s |" in report
    assert "| second | not started: the time was up |" in report


def test_an_unknown_part_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"--parts: got 'devise', expected some of doctor, device, kernels"):
        main(["--parts", "devise", "--out", str(tmp_path)])


def test_a_figure_that_was_cut_off_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "figures.jsonl"
    figures = Figures(path, "turbo")
    figures.add("greedy", 134.2, "windows/s", goal=134.0)
    figures.add("slow", 12.0, "windows/s", goal=100.0)
    with path.open("a") as file:
        file.write('{"part": "turbo", "na')
    rows = table(read_figures(path)).splitlines()
    assert rows[2:] == ["| turbo | greedy | 134 | windows/s | 134 |", "| turbo | slow | 12 | windows/s | 100: MISSED |"]


def test_goals_are_those_of_the_device() -> None:
    assert goal("NVIDIA H200", "large-v3") == 65.0
    assert goal("NVIDIA H100 80GB HBM3", "turbo") == 123.0
    assert goal("NVIDIA H100 80GB HBM3", "mlperf") is None
    assert goal("Tesla T4", "turbo") is None


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_every_part_has_a_name_of_its_own_and_runs_a_module_that_is_there(device: str, tmp_path: Path) -> None:
    parts = make_plan(make_parser().parse_args(["--device", device]), tmp_path)
    assert len({one.name for one in parts}) == len(parts)
    modules = [one.command[1] for one in parts if one.command[0] == "-m" and one.command[1] != "pytest"]
    assert len(modules) >= 6
    for module in modules:
        assert Path(f"{module.replace('.', '/')}.py").is_file(), module
    for one in parts:
        for word in one.command:
            if word.startswith("tests/"):
                assert Path(word).exists(), word

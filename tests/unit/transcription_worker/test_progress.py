"""Progress is served as the operator polls it."""

import json
import socket
import urllib.error
import urllib.request

import pytest
from transcription_api.report import STAGES
from transcription_worker.progress import ProgressTracker, eta_seconds, serve_progress


def test_the_board_is_served_as_it_is_now() -> None:
    tracker = ProgressTracker()
    server = serve_progress(tracker, 0)
    assert server is not None
    url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        assert read(f"{url}/progress") == {"stage": "device", "secondsDone": 0.0}
        tracker.enter_stage("transcribe")
        tracker.update(seconds_total=60.0, language="pt")
        tracker.advance(30.0)
        answer = read(f"{url}/progress")
        assert answer["stage"] in STAGES
        assert (answer["secondsDone"], answer["secondsTotal"], answer["language"]) == (30.0, 60.0, "pt")
        assert urllib.request.urlopen(f"{url}/healthz").read() == b"ok\n"  # noqa: S310 - our own server
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{url}/etc/passwd")  # noqa: S310 - our own server
        with caught.value as error:
            assert error.code == 404
    finally:
        server.shutdown()
        server.server_close()


def test_what_a_worker_before_has_transcribed_counts_as_done_and_not_for_the_speed() -> None:
    now = [0.0]
    tracker = ProgressTracker(lambda: now[0])
    tracker.enter_stage("transcribe")
    tracker.add_total(100.0)
    tracker.resume(50.0)
    tracker.advance(50.0)
    now[0] = 1.0
    assert (tracker.read().seconds_done, tracker.read().eta_seconds) == (50.0, None)
    now[0] = 10.0
    tracker.advance(60.0)
    assert (tracker.read().seconds_done, tracker.read().eta_seconds) == (60.0, 40.0)


def test_tracks_side_by_side_are_summed_and_the_time_left_is_of_all_of_them() -> None:
    now = [0.0]
    tracker = ProgressTracker(lambda: now[0])
    now[0] = 100.0  # the model is loaded
    tracker.enter_stage("transcribe")
    tracker.update(seconds_total=120.0)
    now[0] = 110.0
    tracker.advance(10.0, track=0)
    tracker.advance(20.0, track=1)
    tracker.advance(20.0, track=0)
    progress = tracker.read()
    assert (progress.seconds_done, progress.eta_seconds) == (40.0, 20.0)
    tracker.advance(90.0, track=0)
    tracker.advance(60.0, track=1)
    progress = tracker.read()
    assert (progress.seconds_done, progress.eta_seconds) == (120.0, 0.0)


def read(url: str) -> dict[str, object]:
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own server
        value: dict[str, object] = json.load(answer)
    return value


def test_a_taken_port_does_not_stop_the_run() -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:  # noqa: S104 - the server's own address
        assert serve_progress(ProgressTracker(), taken.getsockname()[1]) is None


@pytest.mark.parametrize(
    ("elapsed", "done", "total", "eta"),
    [(10.0, 30.0, 60.0, 10.0), (10.0, 60.0, 60.0, 0.0), (10.0, 0.0, 60.0, None), (10.0, 30.0, None, None)],
)
def test_the_time_left_is_at_the_pace_so_far(
    elapsed: float, done: float, total: float | None, eta: float | None
) -> None:
    assert eta_seconds(elapsed, done, total) == eta


def test_what_is_kept_of_the_progress_does_not_grow_with_the_inputs() -> None:
    tracker = ProgressTracker()
    for number in range(1000):
        tracker.add_total(30.0)
        tracker.advance(10.0, track=0, number=number)
        tracker.advance(15.0, track=1, number=number)
        tracker.end(number)
    tracker.advance(5.0, number=1000)
    assert tracker.read().seconds_done == 25_005.0
    assert tracker.tracks == 1

"""Act as Job controller and kubelet for the Jobs of fuzzed resources: each has one pod, and that succeeds at once."""

from transcription_api import exit_codes, names
from transcription_api.report import FileCounts, PlanSummary, Report, WrittenObject
from transcription_api.spec import Channel
from transcription_api.task import parse_task, task_text

from tests.support.api_client import Json, RefusedError
from tests.support.simulated_cluster import Namespace, good_report

# A Job without a pod ends by a deadline as short as this while the fuzzed resources are waited for.
SHORT_DEADLINE_SECONDS = 20


def play(area: Namespace, job: Json) -> None:
    """Do what a cluster does with a Job that is not suspended, up to its end.

    A pod that is refused is told in an event; its Job ends if it has a short deadline, within which the operator leaves the status
    as it is near the end.
    """
    area.write_job(job, active=0)
    try:
        pod = area.add_pod(job)
    except RefusedError as error:
        area.add_job_event(job, "Warning", "FailedCreate", f"Error creating: {error.message}")
        if job["spec"].get("activeDeadlineSeconds", SHORT_DEADLINE_SECONDS) < SHORT_DEADLINE_SECONDS:
            area.fail(job, "DeadlineExceeded", failed=0, message="Job was active longer than specified deadline")
        return
    area.end_pod(pod, exit_codes.OK, report_of(job))
    area.complete(job)


def report_of(job: Json) -> Report:
    """Return a report with an object for each format, and for each of two channels, that the Job's task asks for."""
    (container,) = job["spec"]["template"]["spec"]["containers"]
    text = task_text({item["name"]: item.get("value", "") for item in container["env"]})
    task = parse_task(text or "")
    if task.phase is not None:
        return report_of_phase(task.phase)
    spec = task.parsed()
    channels = range(2) if spec.audio.channel is Channel.SPLIT else (None,)
    objects = tuple(WrittenObject(item, 100, "e", channel) for item in spec.formats for channel in channels)
    return good_report(objects=objects, channels=None if None in channels else len(channels))


def report_of_phase(phase: str) -> Report:
    """Return the report of a phase over one file, whatever the source names."""
    if phase == names.PHASE_PLAN:
        return Report(plan=PlanSummary(files=1, to_transcribe=1, shards=1, audio_seconds=60.0))
    return Report(files=FileCounts(total=1, done=1), audio_seconds=60.0, wall_seconds=1.0, words=100)

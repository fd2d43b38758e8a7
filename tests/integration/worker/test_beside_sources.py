"""Results beside their sources, in the bucket of each, on a real S3 server."""

import json
from typing import Any

import pytest
from transcription_api import names

from tests.support.bucketful import Bucketful
from tests.support.worker_container import SOURCE

OTHER = "second-source"


@pytest.fixture
def beside(run: Bucketful, audio: bytes) -> Bucketful:
    """Return a resource over a manifest of two buckets that names no bucket for the results."""
    client = run.container.server.client()
    if OTHER not in [item["Name"] for item in client.list_buckets()["Buckets"]]:
        client.create_bucket(Bucket=OTHER)
    client.put_object(Bucket=OTHER, Key=f"{run.prefix}a.wav", Body=audio)
    lines = [{"key": f"{run.prefix}a.wav"}, {"key": f"{run.prefix}a.wav", "bucket": OTHER}]
    run.put("list.jsonl", b"\n".join(json.dumps(line).encode() for line in lines))
    run.source = {"manifest": f"{run.prefix}list.jsonl"}
    run.fields = {"destination": {"s3": {"prefix": run.prefix}, "layout": "Adjacent"}}
    return run


def held(run: Bucketful, bucket: str) -> set[str]:
    listed: Any = run.container.server.client().list_objects_v2(Bucket=bucket, Prefix=run.prefix)
    return {item["Key"].removeprefix(run.prefix) for item in listed.get("Contents", [])}


def test_each_file_has_its_results_in_its_own_bucket_and_loses_them_there(beside: Bucketful) -> None:
    sources, other = held(beside, SOURCE), held(beside, OTHER)
    assert beside.plan().to_transcribe == 2
    assert beside.transcribe()[0].done == 2
    assert beside.collect().done == 2
    written = {"a.txt", "a.report.json"}
    assert held(beside, OTHER) - other == written
    assert {name for name in held(beside, SOURCE) - sources if not name.startswith("_runs/")} == written
    assert Bucketful(beside.container, beside.prefix, beside.fields, beside.source, "8d2eccfb-2").plan().reused == 2
    beside.delete()
    assert held(beside, OTHER) == other
    assert written.isdisjoint(held(beside, SOURCE))


def test_a_file_whose_bucket_may_not_be_written_to_fails_at_the_plan_and_the_others_go_on(beside: Bucketful) -> None:
    server = beside.container.server
    user = server.restricted_user(SOURCE, ["s3:PutObject", "s3:GetObject", "s3:DeleteObject", "s3:ListBucket"])
    beside.container.mount_secret(names.DESTINATION_CREDENTIALS_DIR, *user)
    plan = beside.plan()
    assert (plan.to_transcribe, plan.refused) == (1, 1)
    beside.transcribe()
    counts = beside.collect()
    assert (counts.done, counts.failed) == (1, 1)
    assert [(item.reason, item.count) for item in counts.by_reason] == [("DestinationDenied", 1)]

"""A real apiserver accepts the right resources, and refuses others with the right messages."""

from typing import Any

import pytest

from tests.support.kubectl import Kubectl
from tests.support.manifests import S3, job

SHA = "0123456789abcdef" * 4


def source(**s3: Any) -> dict[str, Any]:
    return job(source={"s3": {**S3, **s3}})


def files(**s3: Any) -> dict[str, Any]:
    """Return a manifest over many files."""
    return job(source={"s3": {"bucket": "audio", **s3}})


def destination(**s3: Any) -> dict[str, Any]:
    return job(destination={"s3": {"bucket": "transcripts", **s3}})


def without(name: str) -> dict[str, Any]:
    manifest = job()
    del manifest["spec"][name]
    return manifest


ACCEPTED = {
    "the smallest": job(),
    "the smallest in json": job(formats=["json"]),
    "a key with spaces and umlauts": source(key="Gespräche/Teil 1 (Kopie).wav"),
    "an endpoint with a port": source(endpointURL="http://s3.storage.svc:7070", pathStyle=True, region="us-east-1"),
    "an endpoint with an address and a path": source(endpointURL="https://[fd00::1]:9000/s3"),
    "a secret": source(credentialsSecretRef={"name": "s3-credentials"}),
    "no prefix": destination(),
    "a list of keys": files(keys=["a.wav", "b/c d.mp3"]),
    "1,000 keys": files(keys=[f"{n}.wav" for n in range(1000)]),
    "a whole bucket": files(prefix=""),
    "a prefix with every rule": files(
        prefix="calls/2026",
        include=["**/*.mp3", "*.wav"],
        exclude=["tmp/**"],
        minSize=1,
        maxSize=10,
        modifiedAfter="2026-11-01T00:00:00Z",
        allowEmpty=True,
    ),
    "a list in the bucket": files(manifest="lists/today.jsonl"),
    "results beside their sources": job(
        source={"s3": {"bucket": "audio", "prefix": "calls/"}},
        destination={"s3": {"bucket": "audio", "prefix": "calls/"}, "layout": "Adjacent"},
    ),
    "results beside their sources, in whichever bucket": job(destination={"s3": {}, "layout": "Adjacent"}),
    "results beside their sources with rights of their own": job(
        destination={"s3": {"prefix": "runs/", "credentialsSecretRef": {"name": "writer"}}, "layout": "Adjacent"}
    ),
    "results of a server of another endpoint": job(
        source={"s3": {"bucket": "audio", "prefix": "calls/", "endpointURL": "https://s3.example"}},
        destination={"s3": {"bucket": "audio", "prefix": "calls/"}},
    ),
    "all that says how many files are worked on": job(
        parallelism=4,
        shard={"minutes": 30, "speed": 40.5},
        failurePolicy={"maxFailedFiles": "5%"},
        rerun="Force",
        dryRun=True,
        costPerGPUHour=2.5,
    ),
    "a number of files that may fail": job(failurePolicy={"maxFailedFiles": 7}),
    "translate with large-v3": job(task="translate", model={"name": "large-v3"}),
    "translate with a model from s3": job(task="translate", model={"s3": S3}),
    "a .en model that is told english": job(model={"name": "small.en"}, language="en"),
    "a .en model that finds out": job(model={"name": "tiny.en"}),
    "cantonese": job(language="yue"),
    "norwegian": job(language="no"),
    "a model in a claim": job(model={"volume": {"path": "a/b.pt", "persistentVolumeClaim": {"claimName": "models"}}}),
    "a model in an image": job(
        model={"volume": {"path": "m.pt", "image": {"reference": "registry.example/models@sha256:" + SHA}}}
    ),
    "a digest": job(model={"s3": S3, "sha256": SHA}),
    "a cache on the node": job(model={"name": "small", "cache": {"type": "Node"}}),
    "a cache in a claim": job(model={"cache": {"type": "PersistentVolumeClaim", "claimName": "models"}}),
    "sampling": job(decoding={"temperatures": [0.2, 0.4], "bestOf": 3}),
    "beam search alone": job(decoding={"temperatures": [0], "beamSize": 8, "patience": 2}),
    "beam search with fallback": job(decoding={"beamSize": 8, "bestOf": 2, "lengthPenalty": 0.5}),
    "patience with the default beam": job(decoding={"patience": 0.5}),
    "every decoding option": job(
        decoding={
            "temperatures": [0, 0.5],
            "beamSize": 2,
            "bestOf": 2,
            "patience": 1.5,
            "lengthPenalty": 1,
            "initialPrompt": "Names: Sørensen",
            "conditionOnPreviousText": False,
            "compressionRatioThreshold": 2,
            "logprobThreshold": -2,
            "noSpeechThreshold": 0.1,
            "wordTimestamps": True,
        }
    ),
    "several gpus for many files": job(source={"s3": {"bucket": "audio", "prefix": "calls/"}}, device={"gpus": 8}),
    "a device with everything": job(
        device={
            "policy": "PreferGPU",
            "gpus": 1,
            "runtimeClassName": "nvidia",
            "nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"},
            "tolerations": [
                {"key": "pool", "operator": "Equal", "value": "gpu", "effect": "NoSchedule"},
                {"operator": "Exists"},
                {"key": "busy", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60},
            ],
            "resources": {"requests": {"cpu": 2, "memory": "4Gi"}, "limits": {"cpu": "2000m", "memory": "4096Mi"}},
            "priorityClassName": "batch",
        }
    ),
    "the cpu": job(device={"policy": "CPU"}),
    "a part of a gpu": job(device={"resourceName": "nvidia.com/mig-1g.10gb"}),
    "a shared gpu": job(device={"resourceName": "nvidia.com/gpu.shared", "resources": {"limits": {"memory": "8Gi"}}}),
    "a gpu with much memory": job(device={"minMemory": "39.5Gi"}),
    "a gpu by a claim": job(device={"resourceClaimTemplateName": "one-gpu", "minMemory": "24G"}),
    "another vendor's gpu": job(device={"resourceName": "example.com/gpu"}),
    "deadlines": job(activeDeadlineSeconds=1, pendingDeadlineSeconds=1, ttlSecondsAfterFinished=0, retries=0),
    "a queue": job(queueName="team-a", suspend=True, serviceAccountName="transcriber", preview={"characters": 500}),
}

# The manifest, and what the refusal must contain: the field, the value and what was expected.
REFUSED = {
    "no source": (without("source"), ["spec.source", "Required"]),
    "an empty source": (job(source={}), ["spec.source", "got none", "expected exactly one of s3"]),
    "no destination": (without("destination"), ["spec.destination", "Required"]),
    "an empty destination": (job(destination={}), ["spec.destination", "got none", "expected exactly one of s3"]),
    "no key": (
        job(source={"s3": {"bucket": "audio"}}),
        ["spec.source.s3", "got [], expected exactly one of key, keys, prefix and manifest"],
    ),
    "a key and a prefix": (
        source(prefix="in/"),
        ["spec.source.s3", 'got ["key", "prefix"], expected exactly one of key, keys, prefix and manifest'],
    ),
    "no keys in a list": (files(keys=[]), ["spec.source.s3", "got [], expected exactly one of"]),
    "a folder in a list of keys": (files(keys=["a.wav", "b/"]), ["spec.source.s3.keys[1]", "should match"]),
    "more than 1,000 keys": (
        files(keys=[f"{n}.wav" for n in range(1001)]),
        ["spec.source.s3.keys", "at most 1000 items"],
    ),
    "keys that no worker can be told": (
        files(keys=[f"{n:03}" + "k" * 1000 for n in range(200)]),
        ["spec.source.s3.keys", "got 200600 bytes in all, expected at most 131072, or a manifest"],
    ),
    "globs without a prefix": (
        files(manifest="list.jsonl", include=["*.mp3"]),
        ["spec.source.s3", "got include, exclude, minSize, maxSize or modifiedAfter without prefix"],
    ),
    "a largest size below the smallest": (
        files(prefix="in/", minSize=10, maxSize=9),
        ["spec.source.s3.maxSize", "got 9 with minSize 10, expected at least minSize"],
    ),
    "a day without a time": (
        files(prefix="in/", modifiedAfter="2026-11-01"),
        ["spec.source.s3.modifiedAfter", "should match"],
    ),
    "no bucket for the results": (
        job(destination={"s3": {"prefix": "out/"}}),
        ["spec.destination.s3.bucket", "got none, expected the name of a bucket, or layout Adjacent"],
    ),
    "an endpoint without a bucket": (
        job(destination={"s3": {"endpointURL": "https://s3.example"}, "layout": "Adjacent"}),
        ["spec.destination.s3.bucket", "got none with endpointURL, region or pathStyle"],
    ),
    "a key that leaves no room for a report beside it": (
        job(
            source={"s3": {"bucket": "audio", "key": "k" * 1009 + ".wav"}},
            destination={"s3": {"bucket": "transcripts"}, "layout": "Adjacent"},
        ),
        ["spec.source.s3.key", "got 1013 bytes with layout Adjacent, expected at most 1012"],
    ),
    "results among the sources": (
        job(
            source={"s3": {"bucket": "audio", "prefix": "calls/"}},
            destination={"s3": {"bucket": "audio", "prefix": "calls/out/"}},
        ),
        [
            "spec.destination.s3.prefix",
            "got calls/out/ in the bucket of the source and below its prefix calls/, expected a prefix or bucket elsewhere",
        ],
    ),
    "a percentage above all": (
        job(failurePolicy={"maxFailedFiles": "101%"}),
        ["spec.failurePolicy.maxFailedFiles", "101%"],
    ),
    "a number of failures as a text": (
        job(failurePolicy={"maxFailedFiles": "5"}),
        ["spec.failurePolicy.maxFailedFiles", "expected a number of files from 0, or a percentage as in 5%"],
    ),
    "fewer failures than none": (
        job(failurePolicy={"maxFailedFiles": -1}),
        ["spec.failurePolicy.maxFailedFiles", "expected a number of files from 0"],
    ),
    "an empty key": (source(key=""), ["spec.source.s3.key", "at least 1 chars"]),
    "a leading slash": (source(key="/a.wav"), ["spec.source.s3.key", "got /a.wav", "without a slash at its start"]),
    "a folder": (source(key="a/"), ["spec.source.s3.key", "got a/", "expected an object key"]),
    "a control character": (source(key="a\nb.wav"), ["spec.source.s3.key", "control characters, expected none"]),
    "a long key": (source(key="k" * 1025), ["spec.source.s3.key", "more than 1024"]),
    "a key of many bytes": (source(key="ü" * 600), ["spec.source.s3.key", "got 1200 bytes", "at most 1024 in UTF-8"]),
    "a short bucket": (source(bucket="ab"), ["spec.source.s3.bucket", "at least 3 chars"]),
    "capitals in a bucket": (source(bucket="Audio"), ["spec.source.s3.bucket", '"Audio"', "should match"]),
    "an s3 url as the endpoint": (
        source(endpointURL="s3://audio/a"),
        ["spec.source.s3.endpointURL", "expected an http or https URL"],
    ),
    "an endpoint without a host": (
        source(endpointURL="https:///path"),
        ["spec.source.s3.endpointURL", "expected an http or https URL with a host"],
    ),
    "a query in the endpoint": (
        source(endpointURL="https://s3.example/?x=1"),
        ["spec.source.s3.endpointURL", "https://s3.example/?x=1", "without query or spaces"],
    ),
    "a region with spaces": (source(region="eu west"), ["spec.source.s3.region", '"eu west"']),
    "a secret's name in capitals": (
        source(credentialsSecretRef={"name": "Creds"}),
        ["spec.source.s3.credentialsSecretRef.name", '"Creds"'],
    ),
    "a prefix with a slash": (
        destination(prefix="/out/"),
        ["spec.destination.s3.prefix", "got /out/", "expected a prefix without a leading slash"],
    ),
    "a result's key that is too long": (
        job(
            source={"s3": {"bucket": "audio", "key": "a/" + "n" * 500}},
            destination={"s3": {"bucket": "out", "prefix": "p" * 600}},
        ),
        ["spec.destination.s3.prefix", "got 600 bytes with a file name of 500 bytes", "expected at most 1012 together"],
    ),
    "an unknown model": (job(model={"name": "huge"}), ["spec.model.name", '"huge"', "supported values", '"turbo"']),
    "two models": (
        job(model={"name": "small", "s3": S3}),
        ["spec.model", "name", "s3", "expected at most one of name, s3 and volume"],
    ),
    "an absolute path in a volume": (
        job(model={"volume": {"path": "/m.pt", "persistentVolumeClaim": {"claimName": "c"}}}),
        ["spec.model.volume.path", "got /m.pt", "expected a path inside the volume"],
    ),
    "a path out of a volume": (
        job(model={"volume": {"path": "a/../../m.pt", "persistentVolumeClaim": {"claimName": "c"}}}),
        ["spec.model.volume.path", "got a/../../m.pt", "no . or .."],
    ),
    "a volume of no kind": (
        job(model={"volume": {"path": "m.pt"}}),
        ["spec.model.volume", "got none", "expected exactly one of persistentVolumeClaim and image"],
    ),
    "a volume of two kinds": (
        job(model={"volume": {"path": "m", "persistentVolumeClaim": {"claimName": "c"}, "image": {"reference": "i"}}}),
        ["spec.model.volume", "got both", "expected exactly one of"],
    ),
    "a volume with a cache": (
        job(model={"volume": {"path": "m", "image": {"reference": "i"}}, "cache": {"type": "Node"}}),
        ["spec.model.cache.type", "got Node with volume", "expected None"],
    ),
    "a digest in capitals": (job(model={"sha256": SHA.upper()}), ["spec.model.sha256", SHA.upper(), "should match"]),
    "a cache claim without a name": (
        job(model={"cache": {"type": "PersistentVolumeClaim"}}),
        ["spec.model.cache.claimName", "got none with type PersistentVolumeClaim", "expected the name of a claim"],
    ),
    "a cache claim for the node": (
        job(model={"cache": {"type": "Node", "claimName": "c"}}),
        ["spec.model.cache.claimName", "got c with type Node", "expected none"],
    ),
    "an unknown task": (job(task="summarise"), ["spec.task", '"summarise"', '"transcribe", "translate"']),
    "translate with the default model": (
        job(task="translate"),
        ["spec.task", "got translate with model turbo (the default)", "expected transcribe, or a model that can"],
    ),
    "translate with turbo": (
        job(task="translate", model={"name": "turbo"}),
        ["spec.task", "got translate with model turbo, expected"],
    ),
    "translate with turbo's other name": (
        job(task="translate", model={"name": "large-v3-turbo"}),
        ["spec.task", "got translate with model large-v3-turbo, expected"],
    ),
    "translate with an english model": (
        job(task="translate", model={"name": "base.en"}),
        ["spec.task", "got translate with model base.en", "expected transcribe, or a model without .en"],
    ),
    "an english model for portuguese": (
        job(language="pt", model={"name": "small.en"}),
        ["spec.language", "got pt with model small.en", "expected en or auto, or a model without .en"],
    ),
    "an unknown language": (job(language="klingon"), ["spec.language", "klingon"]),
    "a language's name": (job(language="english"), ["spec.language", '"english"', "supported values", '"en"']),
    "bestOf without sampling": (
        job(decoding={"temperatures": [0], "bestOf": 5}),
        ["spec.decoding.bestOf", "got 5 with temperatures 0 alone", "expected a temperature above 0"],
    ),
    "beamSize without beam search": (
        job(decoding={"temperatures": [0.2], "beamSize": 5}),
        ["spec.decoding.beamSize", "got 5 without temperature 0", "expected temperatures with 0"],
    ),
    "patience without beam search": (
        job(decoding={"temperatures": [0.2], "patience": 1.5}),
        ["spec.decoding.patience", "got 1.5 without temperature 0", "expected temperatures with 0"],
    ),
    "too little patience": (
        job(decoding={"beamSize": 1, "patience": 0.5}),
        ["spec.decoding.patience", "got 0.5 with beamSize 1", "expected a product above 0.5"],
    ),
    "a temperature twice": (
        job(decoding={"temperatures": [0, 0.2, 0]}),
        ["spec.decoding.temperatures", "got [0.000000, 0.200000, 0.000000]", "expected each temperature once"],
    ),
    "a temperature above 1": (job(decoding={"temperatures": [1.5]}), ["spec.decoding.temperatures[0]", "1.5"]),
    "no temperature": (job(decoding={"temperatures": []}), ["spec.decoding.temperatures", "at least 1 items"]),
    "a length penalty above 1": (job(decoding={"lengthPenalty": 2}), ["spec.decoding.lengthPenalty", "2"]),
    "no formats": (job(formats=[]), ["spec.formats", "at least 1 items"]),
    "a format twice": (job(formats=["json", "txt", "json"]), ["spec.formats[2]", "Duplicate", '"json"']),
    "an unknown format": (job(formats=["docx"]), ["spec.formats[0]", '"docx"', '"srt"']),
    "a long preview": (job(preview={"characters": 501}), ["spec.preview.characters", "501", "500"]),
    "an unknown policy": (job(device={"policy": "GPU"}), ["spec.device.policy", '"GPU"', '"RequireGPU"']),
    "gpus for the cpu": (
        job(device={"policy": "CPU", "gpus": 2}),
        ["spec.device.gpus", "got 2 with policy CPU", "expected no gpus"],
    ),
    "several gpus for one file": (
        job(device={"gpus": 2}),
        ["spec.device.gpus", "got 2 with source.s3.key", "expected 1: one file is transcribed on one GPU"],
    ),
    "a part of a gpu for the cpu": (
        job(device={"policy": "CPU", "resourceName": "nvidia.com/mig-1g.10gb"}),
        ["spec.device.resourceName", "got nvidia.com/mig-1g.10gb with policy CPU", "expected none"],
    ),
    "memory that is no amount": (
        job(device={"minMemory": "24 GB"}),
        ["spec.device.minMemory", '"24 GB"', "should match"],
    ),
    "memory of a gpu for the cpu": (
        job(device={"policy": "CPU", "minMemory": "24G"}),
        ["spec.device.minMemory", "got 24G with policy CPU", "expected none"],
    ),
    "a claim for the cpu": (
        job(device={"policy": "CPU", "resourceClaimTemplateName": "one-gpu"}),
        ["spec.device.resourceClaimTemplateName", "got one-gpu with policy CPU", "expected none"],
    ),
    "a claim and a resource": (
        job(device={"resourceClaimTemplateName": "one-gpu", "resourceName": "nvidia.com/gpu"}),
        ["spec.device.resourceClaimTemplateName", "with resourceName nvidia.com/gpu", "expected one of the two"],
    ),
    "a claim and a number": (
        job(device={"resourceClaimTemplateName": "one-gpu", "gpus": 2}),
        ["spec.device.gpus", "got 2 with resourceClaimTemplateName", "expected no gpus"],
    ),
    "a resource without a domain": (
        job(device={"resourceName": "gpu"}),
        ["spec.device.resourceName", '"gpu"', "should match"],
    ),
    "kubernetes' own resource": (
        job(device={"resourceName": "kubernetes.io/gpu"}),
        ["spec.device.resourceName", "got kubernetes.io/gpu", "expected an extended resource"],
    ),
    "a resource of a quota": (
        job(device={"resourceName": "requests.nvidia.com/gpu"}),
        ["spec.device.resourceName", "got requests.nvidia.com/gpu", "expected an extended resource"],
    ),
    "a resource with a long domain": (
        job(device={"resourceName": "d." * 124 + "example/gpu"}),
        ["spec.device.resourceName", "got a domain of 255 characters", "expected at most 244"],
    ),
    "parts of a gpu among the resources": (
        job(device={"resourceName": "example.com/gpu", "resources": {"requests": {"example.com/gpu": 2}}}),
        ["spec.device.resources", "got example.com/gpu", "expected it in spec.device.gpus alone"],
    ),
    "no gpu": (job(device={"gpus": 0}), ["spec.device.gpus", "0", "greater than or equal to 1"]),
    "gpus among the resources": (
        job(device={"resources": {"limits": {"nvidia.com/gpu": 1}}}),
        ["spec.device.resources", "got nvidia.com/gpu", "expected it in spec.device.gpus alone"],
    ),
    "requests above limits": (
        job(device={"resources": {"requests": {"memory": "8Gi"}, "limits": {"memory": "4096Mi"}}}),
        ["spec.device.resources.requests", "memory", "expected requests within the limits"],
    ),
    "a quantity that is none": (
        job(device={"resources": {"limits": {"memory": "4 GB"}}}),
        ["spec.device.resources.limits.memory", '"4 GB"', "should match"],
    ),
    "a toleration without a key": (
        job(device={"tolerations": [{"value": "x"}]}),
        ["spec.device.tolerations[0].operator", "got Equal without a key", "expected Exists or a key"],
    ),
    "a toleration of any value": (
        job(device={"tolerations": [{"key": "k", "operator": "Exists", "value": "x"}]}),
        ["spec.device.tolerations[0].value", "got x with operator Exists", "expected no value"],
    ),
    "a toleration for a while": (
        job(device={"tolerations": [{"key": "k", "effect": "NoSchedule", "tolerationSeconds": 1}]}),
        ["spec.device.tolerations[0].effect", "got NoSchedule with tolerationSeconds", "expected NoExecute"],
    ),
    "too many retries": (job(retries=11), ["spec.retries", "11", "less than or equal to 10"]),
    "no time": (job(activeDeadlineSeconds=0), ["spec.activeDeadlineSeconds", "0", "greater than or equal to 1"]),
    "a queue in capitals": (job(queueName="Team"), ["spec.queueName", '"Team"', "should match"]),
    "a misspelt field": (job(langage="pt"), ["unknown field", "spec.langage"]),
    "a boolean for a language": (job(language=False), ["spec.language", "must be of type string", "boolean"]),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_the_apiserver_accepts(kubectl: Kubectl, case: str) -> None:
    kubectl("create", "--dry-run=server", "-f", "-", given=ACCEPTED[case])


@pytest.mark.parametrize("case", REFUSED)
def test_the_apiserver_refuses_and_names_field_value_and_what_was_expected(kubectl: Kubectl, case: str) -> None:
    manifest, parts = REFUSED[case]
    done = kubectl("create", "--dry-run=server", "-f", "-", given=manifest, check=False)
    assert done.returncode != 0, "accepted"
    assert [part for part in parts if part not in done.stderr] == [], done.stderr


def test_a_password_in_an_endpoint_is_refused_without_being_repeated(kubectl: Kubectl) -> None:
    manifest = source(endpointURL="https://user:canary@s3.example")
    done = kubectl("create", "--dry-run=server", "-f", "-", given=manifest, check=False)
    assert "spec.source.s3.endpointURL" in done.stderr
    assert "got a user name or password, expected them in the Secret" in done.stderr
    assert "canary" not in done.stderr

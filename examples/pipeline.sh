#!/usr/bin/env bash
# Transcribes one object, or all below a prefix, from a pipeline: creates a resource, waits for its end, and prints the keys
# of the transcripts, or of the account of many files. Exits 0 when they are in S3, 1 as soon as the job has failed, 2 when it
# has not ended in time. Of many files it says how many failed, whether that fails the job or not.
#
#   BUCKET=audio KEY=interviews/01.wav DESTINATION=transcripts PREFIX=interviews/01/ ./pipeline.sh
#   BUCKET=audio SOURCE_PREFIX=interviews/ DESTINATION=transcripts PREFIX=interviews/ ./pipeline.sh
#
# Optional: NAMESPACE, and TIMEOUT in seconds. SPEC, a whole spec as JSON, replaces the others.
set -euo pipefail

NAMESPACE=${NAMESPACE:-default}
TIMEOUT=${TIMEOUT:-3600}
if [[ -z ${SPEC:-} ]]; then
  objects="key: '${KEY-}'"
  if [[ -z ${KEY:-} ]]; then objects="prefix: '${SOURCE_PREFIX?}'"; fi
  SPEC="{source: {s3: {bucket: '${BUCKET:?}', $objects}}, destination: {s3: {bucket: '${DESTINATION:?}', prefix: '${PREFIX:-}'}}}"
fi

job=$(kubectl create -n "$NAMESPACE" -o name -f - <<EOF
apiVersion: transcription.dev/v1alpha1
kind: TranscriptionJob
metadata: {generateName: pipeline-}
spec: $SPEC
EOF
)
echo "$job" >&2

show() { kubectl get -n "$NAMESPACE" "$job" -o "jsonpath=$1"; }

# kubectl waits for one condition alone: one wait for each end, and the first that is over decides.
await_end() {
  local waits=()
  for condition in Complete Failed; do
    kubectl wait -n "$NAMESPACE" "$job" --for=condition="$condition" --timeout="$1s" >/dev/null 2>&1 &
    waits+=($!)
  done
  wait -n "${waits[@]}" || true
  kill "${waits[@]}" 2>/dev/null || true
  wait "${waits[@]}" 2>/dev/null || true
}

# A wait also ends when the connection is lost: ask again until the job or the time is over.
phase=
while [[ $phase != Complete && $phase != Failed ]] && ((SECONDS < TIMEOUT)); do
  await_end $((TIMEOUT - SECONDS))
  phase=$(show '{.status.phase}') || sleep 5
done

# Nothing for a single object.
count=$(show '{.status.files.failed} of {.status.files.total} files failed' 2>/dev/null) || count=
if [[ $count =~ ^[0-9] ]]; then echo "$count" >&2; fi

case $phase in
  Complete)
    show '{range .status.results[*]}{.key}{"\n"}{end}'
    if [[ $count =~ ^[0-9] ]]; then show '{.status.reportKey}{"\n"}'; fi
    ;;
  Failed)
    show '{.status.failure.reason}: {.status.failure.message} {.status.failure.advice}{"\n"}' >&2
    exit 1
    ;;
  *)
    echo "$job has not ended after $TIMEOUT seconds: phase ${phase:-unknown}" >&2
    exit 2
    ;;
esac

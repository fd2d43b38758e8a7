#!/usr/bin/env bash
# Transcribes one object, or all below a prefix, from a pipeline: creates a resource, waits for its end, and prints the keys
# of the transcripts, or of the account of many files. Exits 0 when they are in S3, 1 as soon as the job has failed, 2 when it
# has not ended in time, 3 as soon as it was deleted before its end. Of many files it says how many failed, whether that fails
# the job or not.
#
#   BUCKET=audio KEY=interviews/01.wav DESTINATION=transcripts PREFIX=interviews/01/ ./pipeline.sh
#   BUCKET=audio SOURCE_PREFIX=interviews/ DESTINATION=transcripts PREFIX=interviews/ ./pipeline.sh
#
# Optional: NAMESPACE, and TIMEOUT in seconds. SPEC, a whole spec as JSON, replaces the others.
set -euo pipefail

NAMESPACE=${NAMESPACE:-default}
TIMEOUT=${TIMEOUT:-3600}
if [[ ! $TIMEOUT =~ ^[1-9][0-9]*$ ]]; then
  echo "TIMEOUT: got $TIMEOUT, expected a number of seconds" >&2
  exit 64
fi

quote() { printf "'%s'" "${1//\'/\'\'}"; } # as YAML does

if [[ -z ${SPEC:-} ]]; then
  : "${BUCKET:?}" "${DESTINATION:?}" "${KEY:-${SOURCE_PREFIX?}}"
  objects="key: $(quote "${KEY:-}")"
  if [[ -z ${KEY:-} ]]; then objects="prefix: $(quote "$SOURCE_PREFIX")"; fi
  source="{s3: {bucket: $(quote "$BUCKET"), $objects}}"
  SPEC="{source: $source, destination: {s3: {bucket: $(quote "$DESTINATION"), prefix: $(quote "${PREFIX:-}")}}}"
fi

job=$(kubectl create -n "$NAMESPACE" -o name -f - <<EOF
apiVersion: transcription.dev/v1alpha1
kind: TranscriptionJob
metadata: {generateName: pipeline-}
spec: $SPEC
EOF
)
echo "$job" >&2

# What is told of each end. The first line is about many files alone.
files='{.status.files.failed} of {.status.files.total} files failed{"\n"}'
complete=$files'{.status.reportKey}{"\n"}{range .status.results[*]}{.key}{"\n"}{end}'
failed=$files'{.status.failure.reason}: {.status.failure.message} {.status.failure.advice}{"\n"}'
ends=$(mktemp -d)
trap 'rm -rf "$ends"; jobs -p | xargs -r kill 2>/dev/null' EXIT

ended() { [[ -s $ends/Complete || -s $ends/Failed ]]; }

await() { exec kubectl wait -n "$NAMESPACE" "$job" --for="$1" --timeout="$2s" -o jsonpath="$3" 2>/dev/null; }

# kubectl waits for one condition alone, and goes on waiting for one of a resource that was deleted: one wait for each end, and
# the first that is over decides. Each writes what it saw, since with ttlSecondsAfterFinished the resource may be gone at once.
await_end() {
  await condition=Complete "$1" "$complete" >"$ends/Complete" &
  local waits=($!)
  await condition=Failed "$1" "$failed" >"$ends/Failed" &
  waits+=($!)
  await delete "$1" '{.metadata.name}' >/dev/null &
  waits+=($!)
  wait -n "${waits[@]}" || true
  if ! ended; then sleep 1; fi # the end may be known a moment after the deletion
  kill "${waits[@]}" 2>/dev/null || true
  wait "${waits[@]}" 2>/dev/null || true
}

# A wait also ends when the connection is lost, and at once where the account may not watch: look.
look() {
  local phase
  phase=$(kubectl get -n "$NAMESPACE" "$job" --ignore-not-found -o jsonpath='{.metadata.name} {.status.phase}') || return 0
  case $phase in
    '') deleted=true ;;
    *' Complete') kubectl get -n "$NAMESPACE" "$job" -o jsonpath="$complete" >"$ends/Complete" || true ;;
    *' Failed') kubectl get -n "$NAMESPACE" "$job" -o jsonpath="$failed" >"$ends/Failed" || true ;;
  esac
}

deleted=false
until ended || $deleted || ((SECONDS >= TIMEOUT)); do
  await_end $((TIMEOUT - SECONDS))
  if ! ended; then look; fi
  if ! ended && ! $deleted; then sleep 5; fi
done

# Print the lines after the first, and say how many of many files failed.
tell() {
  local count
  read -r count <"$1"
  if [[ $count =~ ^[0-9] ]]; then echo "$count" >&2; fi
  sed 1d "$1"
}

if [[ -s $ends/Complete ]]; then
  # Where there are no transcripts' keys, the account has them; a dry run has neither.
  mapfile -t keys < <(tell "$ends/Complete")
  if ((${#keys[@]} > 1)); then unset 'keys[0]'; fi
  printf '%s\n' "${keys[@]}" | sed '/^$/d'
elif [[ -s $ends/Failed ]]; then
  tell "$ends/Failed" >&2
  exit 1
elif $deleted; then
  echo "$job was deleted before its end was seen" >&2
  exit 3
else
  echo "$job has not ended after $TIMEOUT seconds" >&2
  exit 2
fi

"""The worker's exit codes: one for each class of outcome.

The Job's podFailurePolicy fails the Job at once on a permanent code; every other code is retried.
Codes from 64 up to 113 are ours; shells and runtimes use 1, 2 and 125 upwards.
"""

OK = 0
# Permanent: another try of the same task would fail the same way.
TASK_INVALID = 64
SOURCE_NOT_FOUND = 65
ACCESS_DENIED = 66
MEDIA_INVALID = 67
MODEL_INVALID = 68
DEVICE_UNUSABLE = 69
DESTINATION_DENIED = 70
TEXT_REFUSED = 71
ENDPOINT_INVALID = 72
# Transient: the next try may succeed.
UNREACHABLE = 80
OUT_OF_MEMORY = 81
SOURCE_CHANGED = 82
NO_SPACE = 83
INTERNAL = 84
DEVICE_FAULT = 85
RESOURCES_EXHAUSTED = 86
INTERRUPTED = 143  # 128 + SIGTERM, as a shell would give

PERMANENT = (
    TASK_INVALID,
    SOURCE_NOT_FOUND,
    ACCESS_DENIED,
    MEDIA_INVALID,
    MODEL_INVALID,
    DEVICE_UNUSABLE,
    DESTINATION_DENIED,
    TEXT_REFUSED,
    ENDPOINT_INVALID,
)

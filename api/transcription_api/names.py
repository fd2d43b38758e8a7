"""Names that operator and worker must agree on: the resource, labels, mount paths, ports."""

GROUP = "transcription.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "TranscriptionJob"
PLURAL = "transcriptionjobs"

# The owner's uid, on Jobs and their pods: selects what is ours without the length limits of names.
LABEL_UID = f"{GROUP}/uid"
# Ordinal of the Job among those made for one resource, from 1: a deleted Job is followed by the next number.
LABEL_ORDINAL = f"{GROUP}/ordinal"
# On the Jobs of many files and their pods: the phase of the work, one of PHASES.
LABEL_PHASE = f"{GROUP}/phase"
# The phases in their order: what there is to do, the doing, and the account of it.
PHASES = (PHASE_PLAN, PHASE_TRANSCRIBE, PHASE_COLLECT) = ("plan", "transcribe", "collect")
# The Job that deletes the results of a resource that is gone, which is no part of its work.
PHASE_DELETE = "delete"
# What a Job takes over from those before it: the number of its first attempt, and how many Jobs were lost before it.
ANNOTATION_FIRST_ATTEMPT = f"{GROUP}/first-attempt"
ANNOTATION_LOST_JOBS = f"{GROUP}/lost-jobs"
# On a Job that the operator has suspended, since spec.suspend is true: no other suspension is the operator's to end.
ANNOTATION_SUSPENDED = f"{GROUP}/suspended-by-spec"
# On the Job with an index for each shard: the parallelism that the operator gave it, which Kueue may have lowered since.
ANNOTATION_PARALLELISM = f"{GROUP}/parallelism"
# The owner's name, up to 253 characters, too long for a label: for people.
ANNOTATION_NAME = f"{GROUP}/name"
# Kueue's label: which LocalQueue admits the Job.
LABEL_QUEUE = "kueue.x-k8s.io/queue-name"

# The worker's container in its pod; podFailurePolicy names it.
CONTAINER_NAME = "worker"
# JSON of a task.Task: all that the worker is told.
ENV_TASK = "TRANSCRIPTION_TASK"
# The index of a pod of an Indexed Job, which Kubernetes sets: the number of its shard.
ENV_INDEX = "JOB_COMPLETION_INDEX"
# Format of the worker's log lines: json or text. The operator passes on its own.
ENV_LOG_FORMAT = "LOG_FORMAT"
# The lowest level that the worker logs: DEBUG, INFO, WARNING or ERROR. The operator passes on its own.
ENV_LOG_LEVEL = "LOG_LEVEL"
# Seconds from SIGTERM to SIGKILL of a worker's pod, and the variable that tells the worker.
TERMINATION_GRACE_SECONDS = 30
ENV_TERMINATION_GRACE_SECONDS = "TRANSCRIPTION_GRACE_SECONDS"
# Where the kubelet picks up the report.
TERMINATION_MESSAGE_PATH = "/dev/termination-log"
# The worker serves GET /progress here.
PROGRESS_PORT = 8080

# Folders in the worker's container. Each credentials folder holds one file for each key of the Secret.
SOURCE_CREDENTIALS_DIR = "/var/run/transcription/credentials/source"
DESTINATION_CREDENTIALS_DIR = "/var/run/transcription/credentials/destination"
MODEL_CREDENTIALS_DIR = "/var/run/transcription/credentials/model"
# Certificates of the authorities that the worker trusts, in a folder and file named as the ConfigMap and its key.
CA_BUNDLE_DIR = "/etc/transcription/ca-bundle"
# Variables that name such a file. They are read by boto3, by OpenSSL (and so by Python's urllib, which downloads models) and by
# requests. Each replaces the certificates of the image.
CA_VARIABLES = ("AWS_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
# A volume with model files, mounted read-only.
MODEL_VOLUME_DIR = "/var/run/transcription/model"
# Downloaded models: a node's folder, a volume claim, or as short-lived as the pod.
MODEL_CACHE_DIR = "/var/cache/transcription/models"
# The audio, while it is worked on; short-lived.
SCRATCH_DIR = "/var/lib/transcription"

# Keys of a credentials Secret, named as the AWS tools' environment variables.
SECRET_ACCESS_KEY_ID = "AWS_ACCESS_KEY_ID"  # noqa: S105 - a key's name, no secret
SECRET_SECRET_ACCESS_KEY = "AWS_SECRET_ACCESS_KEY"  # noqa: S105
SECRET_SESSION_TOKEN = "AWS_SESSION_TOKEN"  # noqa: S105 - optional

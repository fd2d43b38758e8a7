"""The reasons that the operator alone gives; `reasons` has all of them. Names are an API: add, never rename."""

from transcription_api.reason import Reason

# --- Reasons of the operator: failures
PARTIALLY_FAILED = Reason(
    "PartiallyFailed",
    True,
    "More files failed than spec.failurePolicy allows; the results that are there stay. failed.jsonl beside the report is a "
    "manifest for the next run.",
)
INVALID_SPEC = Reason(
    "InvalidSpec", True, "Correct the field that the message names, in a new resource: a spec is immutable."
)
NODE_CACHE_DISABLED = Reason(
    "NodeCacheDisabled",
    True,
    "Use a volume claim as the cache, or ask the administrator to set modelCache.hostPath in the chart.",
)
ENDPOINT_NOT_ALLOWED = Reason(
    "EndpointNotAllowed",
    True,
    "Use an endpoint that the administrator allows, or ask for this one to be added to the operator's allowedEndpoints.",
)
JOB_NAME_TAKEN = Reason(
    "JobNameTaken", True, "A Job of this name belongs to somebody else; delete it or give the resource another name."
)
DEADLINE_EXCEEDED = Reason(
    "DeadlineExceeded", True, "Raise spec.activeDeadlineSeconds, or give the job a faster device or smaller model."
)
PENDING_DEADLINE_EXCEEDED = Reason(
    "PendingDeadlineExceeded",
    True,
    "No node took the pod in time: the message has the scheduler's words; add GPU nodes or raise spec.pendingDeadlineSeconds.",
)
JOBS_KEEP_VANISHING = Reason(
    "JobsKeepVanishing",
    True,
    "Find out who deletes the Jobs (a quota or cleanup controller?), then create the resource anew.",
)
WORKER_FAILED = Reason("WorkerFailed", False, "The worker ended without a report: see its log and the node's events.")
POD_REJECTED = Reason(
    "PodRejected",
    False,
    "Look at the node that the message names: its devices, what else it runs, and whether it is being shut down.",
)
RESULT_INCOMPLETE = Reason(
    "ResultIncomplete",
    True,
    "The worker did not confirm every requested object; run operator and worker images of the same version.",
)

# --- Reasons of the operator: conditions and events that are not failures
SPEC_VALID = Reason("SpecValid", False, "")  # Accepted=True
PLAN_READY = Reason("PlanReady", False, "")  # Planned=True
PLANNING = Reason("Planning", False, "")  # Planned=False
FILES_COUNTED = Reason("FilesCounted", False, "")  # Collected=True: each result was looked for
COLLECTING = Reason("Collecting", False, "")  # Collected=False: the files are transcribed, or as far as they can be
DRY_RUN = Reason("DryRun", False, "")  # Complete=True: there is a plan, and nothing else was asked for
WAITING_FOR_POD = Reason("WaitingForPod", False, "")  # Running=False: no pod has started yet
JOB_NOT_CREATED = Reason(
    "JobNotCreated", False, "The apiserver refuses the Job for now, for example for a quota; it is tried again."
)  # Running=False
JOB_NOT_UPDATED = Reason(
    "JobNotUpdated", False, "Let the policy that the message names allow changes of the Job's spec.suspend."
)  # Running=False, and Suspended=True or False: the Job could not be resumed or suspended
DELETION_REFUSED = Reason(
    "DeletionRefused", False, "Let the policy that the message names allow the deletion."
)  # event
DELETING_RESULTS = Reason("DeletingResults", False, "")  # ResultsDeleted=False: a Job deletes them
RESULTS_DELETED = Reason("ResultsDeleted", False, "")  # event of the Job, once the resource is gone
RESULTS_NOT_DELETED = Reason(
    "ResultsNotDeleted",
    False,
    "Do what the message says, then delete the Job that it names to have another one try, or set spec.deletionPolicy to Keep.",
)  # ResultsDeleted=False, and an event of the Job
NAMESPACE_TERMINATING = Reason(
    "NamespaceTerminating", False, "The namespace is being deleted, and this resource with it."
)  # Running=False
POD_NOT_CREATED = Reason(
    "PodNotCreated",
    False,
    "Lift what the message names: a quota, a limit range, an admission policy, or a missing ServiceAccount or PriorityClass.",
)  # Running=False: the Job exists, and the apiserver refuses its pods
REPORT_LOST = Reason(
    "ReportLost",
    False,
    "Keep pods of finished Jobs until the operator has read them; the next Job looks for the results.",
)  # Running=False: a Job is complete, and its worker's report cannot be read
UNSCHEDULABLE = Reason("Unschedulable", False, "Add nodes with free GPUs, or wait.")  # Running=False
# Waits, since an autoscaler or an administrator may add a node.
NO_MATCHING_NODE = Reason(
    "NoMatchingNode",
    False,
    "Add nodes with the driver or GPU that the message asks for, name an image for the present ones in worker.images of the "
    "chart, or change spec.device.",
)  # Running=False
IMAGE_PULL_FAILED = Reason(
    "ImagePullFailed",
    False,
    "Check the image that the message names, the chart's worker image or spec.model.volume.image, and its pull secrets.",
)  # Running=False
NODE_LOST = Reason(
    "NodeLost",
    False,
    "If the node is lost for good, delete its Node object, or taint it node.kubernetes.io/out-of-service=nodeshutdown:NoExecute.",
)  # Running=False: the node does not confirm the pod's end
CONTAINER_NOT_STARTED = Reason("ContainerNotStarted", False, "See the pod's events.")  # Running=False
WORKER_RUNNING = Reason("WorkerRunning", False, "")  # Running=True
RETRYING = Reason(
    "Retrying", False, ""
)  # Running=False between two attempts; the message has the last failure's reason
FINISHED = Reason("Finished", False, "")  # Running=False after the end
RESULTS_VERIFIED = Reason("ResultsVerified", False, "")  # Complete=True: every requested object was seen in S3
CPU_FALLBACK = Reason(
    "CPUFallback",
    False,
    "Mend the node's GPU as the message says, or set spec.device.policy: RequireGPU to fail instead.",
)  # Degraded=True
STATUS_REJECTED = Reason(
    "StatusRejected",
    False,
    "Use the custom resource definition of the operator's version; results and the report in the destination are whole.",
)  # Degraded=True
SUSPENDED_BY_SPEC = Reason("SuspendedBySpec", False, "Set spec.suspend to false.")  # Suspended=True
WAITING_FOR_QUEUE = Reason(
    "WaitingForQueue", False, "Kueue has not admitted the Job yet, or whoever suspended it has not resumed it."
)  # Suspended=True
RESUMED = Reason("Resumed", False, "")  # Suspended=False
REPEATEDLY_DISRUPTED = Reason(
    "RepeatedlyDisrupted",
    False,
    "Files of under ten minutes begin anew each time: use nodes that are not preempted or drained, or a priority class.",
)  # event
LOW_QUALITY = Reason(
    "LowQuality",
    False,
    "Listen to the segments that have flags in the json; spec.quality.policy retry decodes such windows again.",
)  # event
JOB_CREATED = Reason("JobCreated", False, "")  # event
SCALED = Reason("Scaled", False, "")  # event: the Job over many files runs another number of pods at a time
JOB_LOST = Reason("JobLost", False, "The Job was deleted from outside; the next one was created.")  # event

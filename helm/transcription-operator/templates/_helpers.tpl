{{/* Name of the chart, or what replaces it. */}}
{{- define "transcription-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Name of the release's objects: 63 characters at most, as labels allow. */}}
{{- define "transcription-operator.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- $name := include "transcription-operator.name" . }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{/* Labels that select the operator's pods. They never change. */}}
{{- define "transcription-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "transcription-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{/* Labels of every object. */}}
{{- define "transcription-operator.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "transcription-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* Name of the operator's account. */}}
{{- define "transcription-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "transcription-operator.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* An image's reference: {image: values, chart: .Chart}. */}}
{{- define "transcription-operator.image" -}}
{{- if .image.digest }}
{{- printf "%s@%s" .image.repository .image.digest }}
{{- else }}
{{- printf "%s:%s" .image.repository (default .chart.AppVersion .image.tag) }}
{{- end }}
{{- end }}

{{/* Names of pull secrets, separated by commas, from a list of names or of {name: ...}. */}}
{{- define "transcription-operator.pullSecretNames" -}}
{{- $names := list }}
{{- range . }}
{{- if kindIs "map" . }}
{{- $names = append $names .name }}
{{- else }}
{{- $names = append $names . }}
{{- end }}
{{- end }}
{{- join "," $names }}
{{- end }}

{{/* Values below worker that the operator puts into every worker's pod. It checks them when it starts. */}}
{{- define "transcription-operator.workerSettings" -}}
{{- omit .Values.worker "image" "images" "imagePullSecrets" "resources" | toJson }}
{{- end }}

{{/* The worker's images, and what each needs of a node: worker.images, or worker.image alone. */}}
{{- define "transcription-operator.workerImages" -}}
{{- $images := list }}
{{- range default (list .Values.worker.image) .Values.worker.images }}
{{- $reference := include "transcription-operator.image" (dict "image" . "chart" $.Chart) }}
{{- $images = append $images (merge (dict "reference" $reference) (pick . "cuda" "minDriver" "computeCapabilities")) }}
{{- end }}
{{- toJson $images }}
{{- end }}

{{/* The value of an environment variable, in which the kubelet would replace $$ and $(NAME). Of null it is the operator's default. */}}
{{- define "transcription-operator.literal" -}}
{{- . | default "" | toString | replace "$" "$$" | quote }}
{{- end }}

{{/* What the operator may do with resources, Jobs and pods, in all namespaces or in the watched ones. */}}
{{- define "transcription-operator.rules" -}}
# Resources that are past their ttl are deleted.
- apiGroups: [transcription.dev]
  resources: [transcriptionjobs]
  verbs: [get, list, watch, delete]
- apiGroups: [transcription.dev]
  resources: [transcriptionjobs/status]
  verbs: [update]
# Asked for by the admission plugin OwnerReferencesPermissionEnforcement, for Jobs that block their owner's deletion.
- apiGroups: [transcription.dev]
  resources: [transcriptionjobs/finalizers]
  verbs: [update]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
# Why a pod waits, and how its worker ended. A pod that a sidecar keeps alive after its worker failed is deleted.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, delete]
# Its own events, and those of a Job that gets no pod.
- apiGroups: [""]
  resources: [events]
  verbs: [create, list]
{{- if .Values.rbac.readWorkloads }}
# Why Kueue has not admitted a Job.
- apiGroups: [kueue.x-k8s.io]
  resources: [workloads]
  verbs: [list]
{{- end }}
{{- end }}

{{- define "whatsapp-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "whatsapp-operator.fullname" -}}
{{- $name := include "whatsapp-operator.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "whatsapp-operator.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{- define "whatsapp-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "whatsapp-operator.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{- /* Whatever is granted to the account `default` is granted to every Pod that names none. */ -}}
{{- required "serviceAccount.create=false needs serviceAccount.name: the account that the operator's rights are given to" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "whatsapp-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "whatsapp-operator.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "whatsapp-operator.labels" -}}
{{- $own := dict "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_") -}}
{{- $_ := set $own "app.kubernetes.io/version" .Chart.AppVersion -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .Release.Service -}}
{{- $own = merge $own (include "whatsapp-operator.selectorLabels" . | fromYaml) -}}
{{- merge $own (.Values.commonLabels | default dict) | toYaml }}
{{- end }}

{{- define "whatsapp-operator.image" -}}
{{- $name := .Values.image.repository -}}
{{- with .Values.image.registry }}{{ $name = printf "%s/%s" . $name }}{{ end -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $name .Values.image.digest }}
{{- else -}}
{{- printf "%s:%s" $name (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{- /* What the operator does to Kubernetes, and nothing else. It neither lists nor watches Secrets. */ -}}
{{- define "whatsapp-operator.rules" -}}
- apiGroups: [actiwapi.com]
  resources: [whatsappaccounts, whatsappsessions]
  verbs: [list, patch, watch]
- apiGroups: [actiwapi.com]
  resources: [whatsappaccounts/status, whatsappsessions/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [secrets]
  verbs: [create, delete, get, update]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}

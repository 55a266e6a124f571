{{/* The labels that mark a CronJob, its Jobs and their pods as part of this release. */}}
{{- define "staging-cronjobs.labels" -}}
staging-cronjobs/dataset-id: {{ .Values.record.dataset_id | quote }}
staging-cronjobs/dataset-version: {{ .Values.record.version | quote }}
staging-cronjobs/release: {{ .Release.Name | quote }}
{{- end }}

{{/* A list of containers as JSON, each with CRON_JOB_NAME: in place where it is set, else appended. */}}
{{- define "staging-cronjobs.containers" -}}
{{- $containers := list }}
{{- range .containers }}
  {{- $env := list }}
  {{- $found := false }}
  {{- range .env }}
    {{- if eq .name "CRON_JOB_NAME" }}
      {{- $found = true }}
      {{- $env = append $env (dict "name" .name "value" $.name) }}
    {{- else }}
      {{- $env = append $env . }}
    {{- end }}
  {{- end }}
  {{- if not $found }}
    {{- $env = append $env (dict "name" "CRON_JOB_NAME" "value" $.name) }}
  {{- end }}
  {{- $containers = append $containers (set (deepCopy .) "env" $env) }}
{{- end }}
{{- toJson $containers }}
{{- end }}

{{/* Every problem with the names of the jobs, as one list of lines; empty when there is none. */}}
{{- define "staging-cronjobs.problems" -}}
{{- if gt (len .Release.Name) 53 }}
- release {{ .Release.Name }} has {{ len .Release.Name }} characters: 53 at most (Helm)
{{- end }}
{{- range $field := list "dataset_id" "version" }}
  {{- if not (get $.Values.record $field) }}
- record.{{ $field }} is empty: it says which staged version this release is
  {{- end }}
{{- end }}
{{- if not .Values.jobs }}
- jobs is empty: a staged version has at least one job
{{- end }}
{{- $seen := dict }}
{{- range $key, $job := .Values.jobs }}
  {{- $name := $job.name }}
  {{- if gt (len $name) 50 }}
- jobs.{{ $key }}.name {{ $name }} has {{ len $name }} characters: 50 at most (Sentry cuts a longer monitor slug)
  {{- end }}
  {{- if not (regexMatch "^[a-z0-9]+(-[a-z0-9]+)*$" $name) }}
- jobs.{{ $key }}.name {{ quote $name }} is not usable: it must be lower-case letters and digits with single dashes inside
  {{- else if regexMatch "^[0-9-]+$" $name }}
- jobs.{{ $key }}.name {{ quote $name }} is not usable: it must have a letter (Sentry refuses an all-digit slug)
  {{- end }}
  {{- if hasKey $seen $name }}
- jobs.{{ $key }}.name {{ $name }} is also the name of jobs.{{ get $seen $name }}: names must differ
  {{- end }}
  {{- $_ := set $seen $name $key }}
  {{- $jobSpec := $job.spec.jobTemplate.spec }}
  {{- if not (dig "template" "spec" "containers" list $jobSpec) }}
- jobs.{{ $key }}.spec.jobTemplate.spec.template.spec.containers is missing or empty: a job needs a container
  {{- end }}
  {{- if eq (toString $jobSpec.completionMode) "Indexed" }}
    {{- $workers := max 1 (int64 (default 1 $jobSpec.completions)) }}
    {{- $limit := sub 53 (len (toString (sub $workers 1))) }}
    {{- if gt (len $name) (int $limit) }}
- jobs.{{ $key }}.name {{ $name }} has {{ len $name }} characters: {{ $limit }} at most with {{ $workers }} Indexed workers (a pod's host name has 63)
    {{- end }}
  {{- end }}
{{- end }}
{{- end }}

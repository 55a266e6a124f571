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

{{/* Several maps as one, as JSON: the last one wins, with an empty text too, which `merge` takes for none. */}}
{{- define "staging-cronjobs.joined" -}}
{{- $all := dict }}
{{- range . }}
  {{- range $key, $value := . }}
    {{- $_ := set $all $key $value }}
  {{- end }}
{{- end }}
{{- toJson $all }}
{{- end }}

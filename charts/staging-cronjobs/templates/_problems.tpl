{{/* Every problem with the values, as one list of lines, told in Python's words; empty when there is none. */}}
{{- define "staging-cronjobs.problems" -}}
{{- $id := .Values.record.dataset_id }}
{{- $version := .Values.record.version }}
{{- $words := "^[a-z0-9]+(-[a-z0-9]+)*$" }}
{{- if gt (float64 .Values.record.format) 1.0 }}
- the values were made by a newer version of this program (record format {{ .Values.record.format }}, known up to 1): update the chart
{{- end }}
{{- if or (gt (len $id) 63) (not (regexMatch $words $id)) }}
- record.dataset_id {{ quote $id }} is not usable: it must be lower-case letters and digits with single dashes inside, 63 characters at most
{{- end }}
{{- if not (regexMatch "^[0-9]+(\\.[0-9]+)*$" $version) }}
- record.version {{ quote $version }} is not usable: it must be numbers joined by dots, such as 0.3.0
{{- else if gt (len $version) 63 }}
- record.version {{ quote $version }} has {{ len $version }} characters: 63 at most (a label's value); shorten it
{{- end }}
{{- if not .Values.jobs }}
- jobs is empty: a staged version has at least one job; add it
{{- end }}
{{- $seen := dict }}
{{- range $key, $job := .Values.jobs }}
  {{- $name := $job.name }}
  {{- $at := printf "jobs.%s" $key }}
  {{- if or (gt (len $key) 63) (not (regexMatch $words $key)) }}
    {{- $at = printf "jobs[%q]" $key }}
- job key {{ quote $key }} is not usable: it must be lower-case letters and digits with single dashes inside, 63 characters at most
  {{- end }}
  {{- $limit := 50 }}
  {{- $why := "(Sentry cuts a longer monitor slug)" }}
  {{- if eq (toString $job.spec.jobTemplate.spec.completionMode) "Indexed" }}
    {{- $workers := max 1 (int64 (default 1 $job.spec.jobTemplate.spec.completions)) }}
    {{- $room := sub 53 (len (toString (sub $workers 1))) | int }}
    {{- if lt $room $limit }}
      {{- $limit = $room }}
      {{- $why = printf "with %d Indexed workers (a pod's host name has 63)" $workers }}
    {{- end }}
  {{- end }}
  {{- if not (regexMatch $words $name) }}
- {{ $at }}.name {{ quote $name }} is not usable: it must be lower-case letters and digits with single dashes inside
  {{- else if regexMatch "^[0-9-]+$" $name }}
- {{ $at }}.name {{ quote $name }} is not usable: it must have a letter (Sentry refuses an all-digit slug)
  {{- else if gt (len $name) $limit }}
- {{ $at }}.name {{ quote $name }} has {{ len $name }} characters: {{ $limit }} at most {{ $why }}; shorten it
  {{- end }}
  {{- if hasKey $seen $name }}
- {{ $at }}.name {{ quote $name }} is also that of {{ get $seen $name }}: rename one
  {{- end }}
  {{- $_ := set $seen $name $at }}
  {{- range $field := list "labels" "annotations" }}
    {{- range $mark, $text := index $job $field }}
      {{- if or (hasPrefix "helm.sh/" $mark) (hasPrefix "meta.helm.sh/" $mark) }}
- {{ $at }}.{{ $field }}.{{ $mark }} is a mark that only Helm sets: remove it
      {{- end }}
    {{- end }}
  {{- end }}
{{- end }}
{{- $given := dict "record" .Values.record "jobs" .Values.jobs }}
{{- range $part, $value := $given }}
  {{- include "staging-cronjobs.lost" (dict "path" $part "value" $value) }}
{{- end }}
{{- end }}

{{/* A line for each text that toYaml empties without a word, and for each number that Helm may have changed. */}}
{{- define "staging-cronjobs.lost" -}}
{{- $lost := "[\\x7f-\\x9f\\x{fffe}\\x{ffff}]" }}
{{- if kindIs "map" .value }}
  {{- range $key, $item := .value }}
    {{- if or (eq $key "<<") (regexMatch $lost $key) }}
- {{ $.path }} has the key {{ printf "%+q" $key }}, which YAML cannot carry: rename it
    {{- end }}
    {{- include "staging-cronjobs.lost" (dict "path" (printf "%s.%s" $.path $key) "value" $item) }}
  {{- end }}
{{- else if kindIs "slice" .value }}
  {{- range $number, $item := .value }}
    {{- include "staging-cronjobs.lost" (dict "path" (printf "%s[%d]" $.path $number) "value" $item) }}
  {{- end }}
{{- else if kindIs "string" .value }}
  {{- if regexMatch $lost .value }}
- {{ .path }} holds a character that YAML cannot carry (U+007F to U+009F, U+FFFE or U+FFFF): remove it
  {{- end }}
{{- else if or (gt (float64 .value) 9007199254740991.0) (lt (float64 .value) -9007199254740991.0) }}
- {{ .path }} is {{ printf "%.0f" (float64 .value) }}: Helm keeps integers exact only up to 9007199254740991; write it as a string
{{- end }}
{{- end }}

{{/* Every problem with the values, as one list of lines, told in Python's words; empty when there is none. */}}
{{- define "staging-cronjobs.problems" -}}
{{- $id := .Values.record.dataset_id }}
{{- if or (gt (len $id) 63) (not (regexMatch "^[a-z0-9]+(-[a-z0-9]+)*$" $id)) }}
- record.dataset_id {{ quote $id }} is not usable: it must be lower-case letters and digits with single dashes inside, 63 characters at most
{{- end }}
{{- if not (regexMatch "^[0-9]+(\\.[0-9]+)*$" .Values.record.version) }}
- record.version {{ quote .Values.record.version }} is not usable: it must be numbers joined by dots, such as 0.3.0
{{- end }}
{{- if not .Values.jobs }}
- jobs is empty: a staged version has at least one job; add it
{{- end }}
{{- $seen := dict }}
{{- range $key, $job := .Values.jobs }}
  {{- $name := $job.name }}
  {{- if gt (len $name) 50 }}
- jobs.{{ $key }}.name {{ $name }} has {{ len $name }} characters: 50 at most (Sentry cuts a longer monitor slug); shorten it
  {{- end }}
  {{- if not (regexMatch "^[a-z0-9]+(-[a-z0-9]+)*$" $name) }}
- jobs.{{ $key }}.name {{ quote $name }} is not usable: it must be lower-case letters and digits with single dashes inside
  {{- else if regexMatch "^[0-9-]+$" $name }}
- jobs.{{ $key }}.name {{ quote $name }} is not usable: it must have a letter (Sentry refuses an all-digit slug)
  {{- end }}
  {{- if hasKey $seen $name }}
- jobs.{{ $key }}.name {{ $name }} is also that of jobs.{{ get $seen $name }}: rename one
  {{- end }}
  {{- $_ := set $seen $name $key }}
  {{- $shape := dict "path" (printf "jobs.%s.spec" $key) "value" $job.spec "wanted" (include "staging-cronjobs.shape" $ | fromYaml) }}
  {{- with include "staging-cronjobs.misshapen" $shape }}
{{- . }}
  {{- else }}
    {{- if eq (toString $job.spec.jobTemplate.spec.completionMode) "Indexed" }}
      {{- $workers := max 1 (int64 (default 1 $job.spec.jobTemplate.spec.completions)) }}
      {{- $limit := sub 53 (len (toString (sub $workers 1))) }}
      {{- if and (lt $limit 50) (gt (len $name) (int $limit)) }}
- jobs.{{ $key }}.name {{ $name }} has {{ len $name }} characters: {{ $limit }} at most with {{ $workers }} Indexed workers (a pod's host name has 63); shorten it
      {{- end }}
    {{- end }}
  {{- end }}
{{- end }}
{{- $given := dict "record" .Values.record "jobs" .Values.jobs }}
{{- if ne (toJson $given) (toYaml $given | println | fromYaml | toJson) }}
  {{- range $part, $value := $given }}
    {{- include "staging-cronjobs.lost" (dict "path" $part "value" $value) }}
  {{- end }}
{{- end }}
{{- end }}

{{/* What the chart, like Python, looks at in a job's spec, by an example of each kind: a field with "?" may be missing, a list without one may not be empty. */}}
{{- define "staging-cronjobs.shape" }}
schedule: ""
suspend?: false
jobTemplate:
  metadata?: {"labels?": {}}
  spec:
    completionMode?: ""
    completions?: 1
    template:
      metadata?: {"labels?": {}}
      spec:
        containers: [{"env?": [{"name?": ""}]}]
        initContainers?: [{"env?": [{"name?": ""}]}]
{{- end }}

{{/* A line for each place whose kind is not the wanted one. */}}
{{- define "staging-cronjobs.misshapen" -}}
{{- $kinds := dict "map" "an object" "slice" "a list" "string" "a string" "bool" "true or false" "invalid" "missing" }}
{{- $wanted := get $kinds (kindOf .wanted) | default "a number" }}
{{- $found := get $kinds (kindOf .value) | default "a number" }}
{{- if ne $found $wanted }}
- {{ .path }} is {{ $found }}: it must be {{ $wanted }}
{{- else if kindIs "map" .wanted }}
  {{- range $field, $kind := .wanted }}
    {{- $name := trimSuffix "?" $field }}
    {{- $value := index $.value $name }}
    {{- if and (eq $field $name) (kindIs "slice" $kind) (kindIs "slice" $value) (not $value) }}
- {{ $.path }}.{{ $name }} is an empty list: it must have an item
    {{- else if or (eq $field $name) (not (kindIs "invalid" $value)) }}
      {{- include "staging-cronjobs.misshapen" (dict "path" (printf "%s.%s" $.path $name) "value" $value "wanted" $kind) }}
    {{- end }}
  {{- end }}
{{- else if kindIs "slice" .wanted }}
  {{- range $number, $item := .value }}
    {{- include "staging-cronjobs.misshapen" (dict "path" (printf "%s[%d]" $.path $number) "value" $item "wanted" (first $.wanted)) }}
  {{- end }}
{{- end }}
{{- end }}

{{/* A line for each text that does not come back from YAML: toYaml empties, without a word, what holds U+007F.
     It also cuts the last line's end, which println puts back. */}}
{{- define "staging-cronjobs.lost" -}}
{{- if kindIs "map" .value }}
  {{- range $key, $item := .value }}
    {{- if not (hasKey (dict $key "" | toYaml | println | fromYaml) $key) }}
- {{ $.path }} has the key {{ printf "%+q" $key }}, which YAML cannot carry: rename it
    {{- end }}
    {{- include "staging-cronjobs.lost" (dict "path" (printf "%s.%s" $.path $key) "value" $item) }}
  {{- end }}
{{- else if kindIs "slice" .value }}
  {{- range $number, $item := .value }}
    {{- include "staging-cronjobs.lost" (dict "path" (printf "%s[%d]" $.path $number) "value" $item) }}
  {{- end }}
{{- else if ne (toJson (list .value)) (list .value | toYaml | println | fromYamlArray | toJson) }}
- {{ .path }} holds a character that YAML cannot carry, such as U+007F or U+0085: remove it
{{- end }}
{{- end }}

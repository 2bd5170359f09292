{{- define "asset.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end }}

{{- define "asset.selector" -}}
app.kubernetes.io/name: asset-service
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "asset.labels" -}}
{{ include "asset.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "asset.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ default (include "asset.name" .) .Values.serviceAccount.name }}
{{- else }}{{ default "default" .Values.serviceAccount.name }}{{ end }}
{{- end }}

{{- define "asset.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ default $.Chart.AppVersion .tag }}{{ end }}
{{- end }}
{{- end }}

{{/* What the chart itself decides of the settings, as JSON. `job` for the migration. */}}
{{- define "asset.ownSettings" -}}
{{- $own := dict "ASSET_LISTEN" "0.0.0.0:8080" "ASSET_DRAIN_TIMEOUT" (.root.Values.drainSeconds | toString) "ASSET_LOG_FORMAT" "json" }}
{{- $_ := set $own "ASSET_DRAIN_DELAY" (.root.Values.drainDelaySeconds | toString) }}
{{- $_ := set $own "ASSET_WARM_UP" (.root.Values.warmUpSeconds | toString) }}
{{- $_ := set $own "ASSET_CONNECTION_MAX_AGE" (.root.Values.maxConnectionAgeSeconds | toString) }}
{{- if and .root.Values.metrics.enabled (not .job) }}{{ $_ := set $own "ASSET_METRICS_LISTEN" (printf "0.0.0.0:%v" .root.Values.metrics.port) }}{{ end }}
{{- if .root.Values.migrations.job }}{{ $_ := set $own "ASSET_MIGRATE" "false" }}{{ end }}
{{- if and .root.Values.policies (not .job) }}{{ $_ := set $own "ASSET_POLICY_FILE" "/etc/asset-service/policies.json" }}{{ end }}
{{- if and .root.Values.tls.secret (not .job) }}
{{- $_ := set $own "ASSET_TLS_CERT" "/run/secrets/tls/tls.crt" }}
{{- $_ := set $own "ASSET_TLS_KEY" "/run/secrets/tls/tls.key" }}
{{- end }}
{{- if .root.Values.awsCredentials.secret }}{{ $_ := set $own "AWS_SHARED_CREDENTIALS_FILE" "/run/secrets/aws/credentials" }}{{ end }}
{{- range .root.Values.secretFiles }}{{ $_ := set $own (printf "%s_FILE" .setting) (printf "/run/secrets/settings/%s" .setting) }}{{ end }}
{{- toJson $own }}
{{- end }}

{{/* Settings of a container: from the values, and what the chart itself decides. `job` for the migration. */}}
{{- define "asset.settings" -}}
{{- $own := include "asset.ownSettings" . | fromJson }}
{{- range $name, $value := merge $own .root.Values.settings }}
{{- if ne (toString $value) "" }}
{{ $name }}: {{ toString $value | quote }}
{{- end }}
{{- end }}
{{- end }}

{{- define "asset.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "asset.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "asset.volumes" -}}
- name: tmp
  emptyDir: {}
- name: data
  emptyDir: {}
{{- with .root.Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- if and .root.Values.policies (not .job) }}
- name: policies
  configMap:
    name: {{ include "asset.name" .root }}-policies
{{- end }}
{{- if and .root.Values.tls.secret (not .job) }}
- name: tls
  secret:
    secretName: {{ .root.Values.tls.secret }}
    defaultMode: 0440
{{- end }}
{{- if .root.Values.awsCredentials.secret }}
- name: aws
  secret:
    secretName: {{ .root.Values.awsCredentials.secret }}
    defaultMode: 0440
    items:
      - key: {{ .root.Values.awsCredentials.key }}
        path: credentials
{{- end }}
{{- if .root.Values.secretFiles }}
- name: settings
  projected:
    defaultMode: 0440
    sources:
      {{- range .root.Values.secretFiles }}
      - secret:
          name: {{ .secret }}
          items:
            - key: {{ .key }}
              path: {{ .setting }}
      {{- end }}
{{- end }}
{{- end }}

{{- define "asset.volumeMounts" -}}
- name: tmp
  mountPath: /tmp
- name: data
  mountPath: /data
{{- with .root.Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- if and .root.Values.policies (not .job) }}
- name: policies
  mountPath: /etc/asset-service
  readOnly: true
{{- end }}
{{- if and .root.Values.tls.secret (not .job) }}
- name: tls
  mountPath: /run/secrets/tls
  readOnly: true
{{- end }}
{{- if .root.Values.awsCredentials.secret }}
- name: aws
  mountPath: /run/secrets/aws
  readOnly: true
{{- end }}
{{- if .root.Values.secretFiles }}
- name: settings
  mountPath: /run/secrets/settings
  readOnly: true
{{- end }}
{{- end }}

{{/* The embedded store and catalog belong to one process, and a pod keeps nothing when it is replaced. */}}
{{- define "asset.assertShared" -}}
{{- if ne (toString .Values.settings.ASSET_STORE) "s3" }}
{{- fail "settings.ASSET_STORE: must be s3: a pod keeps no files" }}
{{- end }}
{{- if not (has (toString .Values.settings.ASSET_CATALOG) (list "postgres" "pocketbase")) }}
{{- fail "settings.ASSET_CATALOG: must be postgres or pocketbase: a pod keeps no records" }}
{{- end }}
{{- if not .Values.settings.ASSET_S3_BUCKET }}
{{- fail "settings.ASSET_S3_BUCKET: is required" }}
{{- end }}
{{- $own := include "asset.ownSettings" (dict "root" .) | fromJson }}
{{- $known := splitList "\n" (.Files.Get "files/settings.txt") }}
{{- range $name, $value := .Values.settings }}
{{- if and (hasPrefix "ASSET_" $name) (not (has (trimSuffix "_FILE" $name) $known)) (not (has $name $known)) }}
{{- fail (printf "settings.%s: there is no such setting (docs/configuration.md)" $name) }}
{{- end }}
{{- if hasKey $own $name }}
{{- fail (printf "settings.%s: the chart sets it, from another value (docs/kubernetes.md)" $name) }}
{{- end }}
{{- if regexMatch "^ASSET_(NEXT_)?(POSTGRES_URL|POCKETBASE_PASSWORD|URL_SIGNING_KEY)$|SECRET" $name }}
{{- fail (printf "settings.%s: is a secret: put it into a Secret and name that in secretFiles" $name) }}
{{- end }}
{{- end }}
{{- range .Values.extraEnv }}
{{- if or (hasKey $own .name) (hasKey $.Values.settings .name) (eq .name "POD_NAME") (eq .name "OTEL_RESOURCE_ATTRIBUTES") }}
{{- fail (printf "extraEnv: %s is set elsewhere" .name) }}
{{- end }}
{{- end }}
{{- with .Values.autoscaling }}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) }}
{{- fail "autoscaling.minReplicas: must not be more than autoscaling.maxReplicas" }}
{{- end }}
{{- if and .enabled (not (dig "requests" "cpu" "" $.Values.resources)) }}
{{- fail "resources.requests.cpu: autoscaling needs it, because it scales by the share of it that is used" }}
{{- end }}
{{- end }}
{{- range $way, $ingress := .Values.ingress }}
{{- if and $ingress.enabled (not $ingress.host) }}
{{- fail (printf "ingress.%s.host: is required" $way) }}
{{- end }}
{{- end }}
{{- with .Values.ingress }}
{{- if and .grpc.enabled .http.enabled (eq .grpc.host .http.host) }}
{{- fail "ingress: grpc and http need hosts of their own: a controller speaks one protocol with the pods for a path" }}
{{- end }}
{{- end }}
{{- with .Values.metrics }}
{{- if and (not .enabled) (or .serviceMonitor.enabled .podMonitor.enabled .prometheusRule.enabled) }}
{{- fail "metrics.enabled: must be true for serviceMonitor, podMonitor and prometheusRule" }}
{{- end }}
{{- if and .serviceMonitor.enabled .podMonitor.enabled }}
{{- fail "metrics: serviceMonitor and podMonitor would scrape each pod twice" }}
{{- end }}
{{- end }}
{{- end }}

{{/* Rules of what may be connected to. */}}
{{- define "asset.egress" -}}
- ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
{{ toYaml .Values.networkPolicy.egress }}
{{- end }}

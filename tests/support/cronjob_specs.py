"""CronJob specs made from Kubernetes' own schema: every field there is, most of them as the API server takes them."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

ROOT = "io.k8s.api.batch.v1.CronJobSpec"
MARKS = ("x-kubernetes-patch-strategy", "x-kubernetes-list-type")  # of a list, how it is merged
KEYS = ("x-kubernetes-patch-merge-key", "x-kubernetes-list-map-keys")  # and by what
MERGED = {"merge", "merge,retainKeys", "map", "set"}
Path = tuple[str, ...]
Schema = dict[str, Any]
Object = dict[str, Any]
Draw = Callable[[st.SearchStrategy[Any]], Any]

TEXTS = (
    *("", "a", "{{ .Values.x }}", "{{", "1e3", "08", "0x1f", "null", "~", "no", "a: b", "$(HOME)", "two\nlines\n"),
    *(" é 🌊", "x" * 300, "- x", "#", "\t"),
)
WORDS = ("a", "on", "null", "x1", "no", "y")  # names that YAML 1.1 takes for something else
QUANTITIES = (0, 1, 0.5, "1", "2Gi", 2**40, "1e3")

# What a schema does not say of a field or of a map's keys. The first pattern that is found in a path decides.
VALUES: dict[str, Sequence[Any]] = {
    r"^schedule$": ("0 0 29 2 *", "@yearly", "*/5 1,2 1-5 * *"),
    r"^timeZone$": ("Pacific/Kiritimati", "Etc/UTC"),
    r"annotations\.{}$|(args|command)\.\[]$|env\.\[]\.value$|options\.\[]\.value$|httpHeaders\.\[]\.value$": TEXTS,
    r"volumeClaimTemplate.*(limits|requests) keys$": ("storage",),
    r"volumeClaimTemplate.*(limits|requests)\.{}$": ("1Gi", 2**40),
    r"accessModes\.\[]$": ("ReadWriteMany",),
    r"(limits|requests|overhead) keys$": ("cpu", "memory"),
    r"initContainers\.\[]\.restartPolicy$": ("Always",),
    r"resizePolicy\.\[]\.restartPolicy$": ("NotRequired",),
    r"restartPolicy$": ("Never",),
    r"restartPolicyRules\.\[]\.action$": ("Restart",),
    r"Probe\.terminationGracePeriodSeconds$|sleep\.seconds$|spec\.activeDeadlineSeconds": (1, 20),
    r"mountPropagation$": ("None", "HostToContainer"),
    r"recursiveReadOnly$": ("Disabled",),
    r"seLinuxChangePolicy$": ("MountOption", "Recursive"),
    r"keyType$": ("ED25519", "RSA3072"),
    r"userAnnotations keys$": ("x.example/on",),
    r"diskURI$": ("https://a.blob.core.windows.net/b/c.vhd",),
    r"exitCodes\.operator$": ("In", "NotIn"),
    r"rules\.\[]\.action$": ("Ignore", "Count"),
    r"succeededIndexes$": ("0", "1-3"),
    r"hostProcess$": (False,),
    r"tolerations\.\[]\.operator$": ("Equal",),
    r"weight$|maxSkew$|minDomains$|values\.\[]$(?<!s\.\[]\.values\.\[])|[pP]ort$(?<!\.port)|grpc\.port$": (1, 100),
    r"matchFields\.\[]\.key$|fieldPath$": ("metadata.name",),
    r"match(Fields|Expressions)\.\[]\.operator$": ("In", "NotIn"),
    r"fieldRef\.apiVersion$": ("v1",),
    r"resourceFieldRef\.resource$": ("limits.cpu",),
    r"resourceFieldRef\.divisor$": ("1", 1),
    r"containerName$": ("main",),
    r"volumeDevices\.\[]\.name$": ("block",),
    r"volumeMounts\.\[]\.name$|volumeName$": ("data",),
    r"resources\.claims\.\[]\.name$": ("claim",),
    r"hostPath$|Ref\.path$|(items|projected\.sources)\.\[]\..*[pP]ath$": (),
    r"([pP]ath|workingDir)$(?<!subPath)": ("/a", "/on"),
    r"(ip|hostIP|nameservers\.\[])$": ("10.0.0.1", "2001:db8::1"),
    r"dnsConfig\.options\.\[]\.name$": ("ndots",),
    r"onPodConditions\.\[]\.status$": ("True", "False"),
    r"managedBy$|signerName$|resourceName$(?<!icy\.\[]\.resourceName)": ("x.example/y",),
    r"resizePolicy\.\[]\.resourceName$": ("cpu", "memory"),
    r"iqn$|initiatorName$": ("iqn.2024-05.example:a",),
    r"quobyte\.registry$": ("host:1",),
    r"[eE]xpirationSeconds$": (3600, 7200),
    r"(seccomp|appArmor)Profile\.type$": ("RuntimeDefault", "Unconfined"),
    r"os\.name$": ("linux",),
    r"dataSource(Ref)?\.kind$": ("PersistentVolumeClaim",),
    r"dataSource(Ref)?\.apiGroup$": ("",),
    r"runAs(User|Group)$|fsGroup$|supplementalGroups\.\[]$": (0, 1000, 2**31 - 1),
    r"procMount$": ("Default",),
    r"azureDisk\.kind$": ("Dedicated",),
    r"dnsPolicy$": ("Default", "ClusterFirstWithHostNet"),
    r"successThreshold$|succeededCount$|maxFailedIndexes$": (1,),
}
# What an object needs beside what its schema requires, or because it has a field.
NAMED: Object = {"name": "null"}
INDEXED: Object = {"completionMode": "Indexed", "completions": 5}
NEEDS: dict[str, Object] = {
    "PodSpec": {
        "restartPolicy": "Never",
        "containers": [{"name": "main", "image": "i", "env": [{"name": "B"}, {"name": "A"}]}],
        "volumes": [
            {"name": "data", "emptyDir": {}},
            {"name": "block", "persistentVolumeClaim": {"claimName": "c"}},
        ],
        "resourceClaims": [{"name": "claim", "resourceClaimName": "c"}],
    },
    "Container": {"image": "i"},
    "EphemeralContainer": {"image": "i"},
    "Container.restartPolicyRules": {"restartPolicy": "Never"},
    "JobSpec.backoffLimitPerIndex": INDEXED,
    "JobSpec.maxFailedIndexes": {**INDEXED, "backoffLimitPerIndex": 1},
    "JobSpec.successPolicy": INDEXED,
    "JobSpec.completionMode": {"completions": 1},
    "SuccessPolicyRule": {"succeededIndexes": "0-2"},
    "PodFailurePolicyRule": {"action": "Ignore"},
    "LabelSelectorRequirement": {"operator": "In", "values": ["no"]},
    "NodeSelectorRequirement": {"operator": "In", "values": ["no"]},
    "PodAffinityTerm": {"topologyKey": "a", "labelSelector": {}},
    "Toleration": {"key": "a"},
    "Toleration.value": {"operator": "Equal"},
    "Toleration.tolerationSeconds": {"effect": "NoExecute"},
    "TopologySpreadConstraint": {"whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}},
    "SeccompProfile.localhostProfile": {"type": "Localhost"},
    "AppArmorProfile.localhostProfile": {"type": "Localhost"},
    "SecretVolumeSource": {"secretName": "a"},
    **dict.fromkeys(
        (
            *("ConfigMapVolumeSource", "SecretProjection", "ConfigMapProjection", "SecretKeySelector"),
            *("ConfigMapKeySelector", "SecretEnvSource", "ConfigMapEnvSource"),
        ),
        NAMED,
    ),
    "ImageVolumeSource": {"reference": "i"},
    "StorageOSVolumeSource": {"volumeName": "data"},
    "ScaleIOVolumeSource": {"volumeName": "data"},
    "FCVolumeSource.targetWWNs": {"lun": 0},
    "ClusterTrustBundleProjection": {"path": "on"},
    "ClusterTrustBundleProjection.labelSelector": {"signerName": "x.example/y"},
    "ISCSIVolumeSource": {"secretRef": {"name": "a"}},
    "ContainerRestartRule": {"exitCodes": {"operator": "In", "values": [1]}},
    "PersistentVolumeClaimSpec": {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
    },
    "PodDNSConfigOption": {"name": "ndots"},
    "DownwardAPIVolumeFile": {"path": "a"},
    "ResourceFieldSelector": {"containerName": "main"},
    "Sysctl": {"name": "kernel.shm_rmid_forced", "value": "1"},
}
# Of these fields an object has exactly one, the first where none is asked for.
ONE_OF: dict[str, tuple[str, ...]] = {
    "JobTemplateSpec": ("spec",),
    "PodTemplateSpec": ("spec",),
    "PodCertificateProjection": ("credentialBundlePath", "keyPath", "certificateChainPath"),
    "EnvFromSource": ("configMapRef", "secretRef"),
    "Probe": ("tcpSocket", "exec", "httpGet", "grpc"),
    "LifecycleHandler": ("sleep", "exec", "httpGet", "tcpSocket"),
    "DownwardAPIVolumeFile": ("fieldRef", "resourceFieldRef"),
    "PodResourceClaim": ("resourceClaimName", "resourceClaimTemplateName"),
    "PodFailurePolicyRule": ("onPodConditions", "onExitCodes"),
    "FCVolumeSource": ("wwids", "targetWWNs"),
    "ClusterTrustBundleProjection": ("name", "signerName", "labelSelector"),
    "EnvVarSource": ("fieldRef", "configMapKeyRef", "secretKeyRef", "resourceFieldRef", "fileKeyRef"),
}


class Specs:
    """Draws specs of a schema.

    `leaves` are the paths of all fields that have no fields themselves; `merged` those of the lists that are merged
    entry by entry, each with its key: empty where the entries themselves are compared.
    """

    def __init__(self, definitions: Schema) -> None:
        self.definitions = definitions
        self.root = {"$ref": f"#/{ROOT}"}
        fields = [*self._fields(self.root, ())]
        self.leaves = [path for path, schema in fields if not _inner(schema)]
        self.merged = {path: _key(schema) for path, schema in fields if MERGED & {*map(schema.get, MARKS)}}

    def having(self, targets: Sequence[Path]) -> st.SearchStrategy[Any]:
        """A spec with all these fields, and what they need beside them."""
        return st.composite(lambda draw: self._value(draw, self.root, "", targets))()

    def present(self, spec: Any) -> set[Path]:
        """Which leaves a spec has."""
        return {leaf for leaf in self.leaves if _has(spec, leaf)}

    def _value(self, draw: Draw, schema: Schema, path: str, targets: Sequence[Path]) -> Any:
        name, schema = self._resolve(schema)
        if known := _known(path):
            return draw(st.sampled_from(known))
        if "properties" in schema:
            return self._object(draw, name, schema, path, targets)
        if "items" in schema:
            items = [
                self._value(draw, schema["items"], f"{path}.[]", [t[1:]] if t[1:] else []) for t in targets or [()]
            ]
            for number, item in enumerate(items):
                if re.search(r"([cC]ontainers|volumes|spec\.resourceClaims)$", path):
                    item["name"] = f"{path.rpartition('.')[2][0]}-{number}"  # no two may have the same
                if path.endswith("initContainers"):
                    item.setdefault("restartPolicy", "Always")  # only sidecars have probes
            return items
        if isinstance(inner := schema.get("additionalProperties"), dict):
            keys = draw(st.lists(st.sampled_from(_known(f"{path} keys") or WORDS), min_size=1, max_size=2, unique=True))
            return {key: self._value(draw, inner, f"{path}.{{}}", ()) for key in keys}
        return draw(_scalar(schema))

    def _object(self, draw: Draw, name: str, schema: Schema, path: str, targets: Sequence[Path]) -> Any:
        asked = {target[0]: [t[1:] for t in targets if t[0] == target[0] and len(t) > 1] for target in targets}
        if (one := ONE_OF.get(name)) and not asked.keys() & set(one):
            asked[one[0]] = []
        found = {**NEEDS.get(name, {})}
        for field in asked:
            found |= NEEDS.get(f"{name}.{field}", {})
        for field, inner in schema["properties"].items():
            if field in asked or (field in schema.get("required", ()) and field not in found):
                value = self._value(draw, inner, f"{path}.{field}".lstrip("."), asked.get(field, []))
                found[field] = _both(found.get(field), value) if field != "values" else value
        return found

    def _resolve(self, schema: Schema) -> tuple[str, Schema]:
        """The schema that a reference leads to, and its short name."""
        schema = schema.get("allOf", [schema])[0]
        if "$ref" not in schema:
            return "", schema
        name = schema["$ref"].rpartition("/")[2]
        return name.rpartition(".")[2], self.definitions[name]

    def _fields(self, schema: Schema, path: Path) -> Iterator[tuple[Path, Schema]]:
        """The path and the schema of every field, with what its parent says of it."""
        found = {**schema, **self._resolve(schema)[1]}
        yield path, found
        for name, part in _inner(found).items():
            yield from self._fields(part, (*path, name))


def examples(strategy: st.SearchStrategy[Object], count: int) -> list[Object]:
    """So many values of a strategy, the smallest first; the same with each run."""
    found: list[Object] = []

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[*HealthCheck],
    )
    @given(strategy)
    def collect(value: Object) -> None:
        found.append(value)

    collect()
    return found


def _inner(schema: Schema) -> Schema:
    """What stands in a field, by name."""
    lists = {"[]": schema["items"]} if isinstance(schema.get("items"), dict) else {}
    maps = {"{}": schema["additionalProperties"]} if isinstance(schema.get("additionalProperties"), dict) else {}
    return {**schema.get("properties", {}), **lists, **maps}


def _key(schema: Schema) -> str:
    patch, apply = map(schema.get, KEYS)
    return patch or (apply or [""])[0]


def _both(needed: Any, value: Any) -> Any:
    if isinstance(needed, list):
        return [*needed, *value]
    return {**needed, **value} if isinstance(needed, dict) else value


def _has(value: Any, path: Path) -> bool:
    if not path:
        return True
    if value is None:
        return False
    if path[0] in ("[]", "{}"):
        return any(_has(item, path[1:]) for item in (value if path[0] == "[]" else value.values()))
    return path[0] in value and _has(value[path[0]], path[1:])


def _known(path: str) -> Sequence[Any] | None:
    return next((values for pattern, values in VALUES.items() if re.search(pattern, path)), None)


def _scalar(schema: Schema) -> st.SearchStrategy[Any]:
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "oneOf" in schema:
        return st.sampled_from(QUANTITIES if {"type": "number"} in schema["oneOf"] else (1, 80, "a"))
    if schema.get("format") == "date-time":
        return st.just("2024-05-01T00:00:00Z")
    match schema.get("type"):
        case "boolean":
            return st.booleans()
        case "integer":
            return st.sampled_from((0, 1, 100, *([2**31, 2**53 - 1] if schema["format"] == "int64" else [])))
        case "string":
            return st.sampled_from(WORDS)
    return st.just({})

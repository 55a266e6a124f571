"""What a CronJob may have, as JSON Schema, for the oldest and the newest Kubernetes that is supported.

`path("oldest")` and `path("newest")` give a file in the cache, `load` what is in it. It is made once, without network
when Go has the module already, from the OpenAPI document in the Go module of that Kubernetes: strict (a field that is
not known is an error) and complete (every `$ref` leads to its own `definitions`). The file's name is the one that
kubeconform looks for.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from controlplane import binaries
from controlplane.binaries import UnavailableError

VERSIONS = {"oldest": "kubernetes-oldest", "newest": "kubernetes"}  # name -> its folder in modules/
MODULE = "k8s.io/kubernetes"
FILE = "cronjob-batch-v1.json"
ROOT = "io.k8s.api.batch.v1.CronJob"
FORMAT = 1  # of the files; a change of what this module writes needs the next number

Schema = dict[str, Any]

# What the document calls a string, and the API server reads as a number too.
NUMBERS_TOO = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": ["string", "integer"]},
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": ["string", "number"]},
}
BITS = {"int32": 31, "int64": 63}
KEPT = ("type", "enum", "required", "format")


def version(name: str) -> str:
    """The version of Kubernetes, such as v1.29.15."""
    return binaries.in_go_mod(VERSIONS[name], rf"^\s*(?:require )?{re.escape(MODULE)} (v\S+)")


def load(name: str) -> Schema:
    """The schema of a CronJob."""
    return json.loads(path(name).read_text())


def path(name: str, say: Callable[[str], None] = binaries.say) -> Path:
    """Where it is; makes it when it must."""
    file = binaries.cache() / f"schemas-{version(name)}-{FORMAT}" / FILE
    if not file.exists():
        with binaries.only_one(binaries.cache(), say):
            say(f"reading the OpenAPI document of Kubernetes {version(name)}, about a minute the first time …")
            _write(file, standalone(_document(VERSIONS[name])["definitions"]))
    return file


def standalone(definitions: Schema) -> Schema:
    """One strict schema made of the root's definition and all that it leads to."""
    found: Schema = {}
    waiting = [ROOT]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = NUMBERS_TOO.get(name) or _strict(definitions[name])
            waiting += re.findall(r'"#/definitions/([^"]+)"', json.dumps(found[name]))
    root = found[ROOT]["properties"]
    root["apiVersion"], root["kind"] = {"const": "batch/v1"}, {"const": "CronJob"}
    found[ROOT]["required"] = ["apiVersion", "kind", "metadata", "spec"]
    schema = "http://json-schema.org/draft-07/schema#"
    return {"$schema": schema, "$ref": f"#/definitions/{ROOT}", "definitions": found}


def _strict(schema: Schema) -> Schema:
    """Without prose and Kubernetes' own marks, with no other properties, and with the bounds of integers."""
    if "$ref" in schema:
        return {"$ref": schema["$ref"]}
    found = {key: schema[key] for key in KEPT if key in schema}
    if bits := BITS.get(found.get("format", "")):
        found |= {"minimum": -(2**bits), "maximum": 2**bits - 1}
    if "items" in schema:
        found["items"] = _strict(schema["items"])
    if "properties" in schema:
        found["properties"] = {name: _strict(inner) for name, inner in schema["properties"].items()}
        found["additionalProperties"] = False
    elif isinstance(schema.get("additionalProperties"), dict):
        found["additionalProperties"] = _strict(schema["additionalProperties"])
    return found


def _document(folder: str) -> Schema:
    """The OpenAPI document, from the module as Go has it; its sum is in go.sum."""
    go = shutil.which("go")
    if go is None:
        raise UnavailableError(f"the schemas of {MODULE} are read from its Go module, and that needs Go on PATH.")
    done = subprocess.run(
        [go, "mod", "download", "-json", MODULE],
        cwd=binaries.MODULES / folder,
        env=binaries.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise UnavailableError(f"go could not fetch {MODULE}: {(done.stderr or done.stdout).strip()[-2000:]}")
    return json.loads((Path(json.loads(done.stdout)["Dir"]) / "api" / "openapi-spec" / "swagger.json").read_text())


def _write(file: Path, schema: Schema) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    unfinished.write_text(json.dumps(schema, indent=1) + "\n")
    unfinished.rename(file)  # so that a half-written file is never found

"""In any locale, and with bytes that are no text: what cannot be shown is replaced, and nothing ends in a traceback."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from forks import PROGRAM, forks
from hostile import Hostile
from repositories import Repository, make_repository

AS_IT_IS = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}  # or Python would quietly take UTF-8 instead
LOCALES = {
    "C": ({"LC_ALL": "C", **AS_IT_IS}, "ascii"),
    "one that is not installed": ({"LC_ALL": "ja_JP.eucJP", **AS_IT_IS}, "ascii"),
    "UTF-8": ({"LC_ALL": "C.UTF-8"}, "utf-8"),
    **{name: ({"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": name}, name) for name in ("ascii", "latin-1", "gbk", "euc_jp")},
    "ascii, strictly": ({"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "ascii:strict"}, "ascii"),
}
TEXT = "caf\xe9 \u96ea \U0001f30a \u202e \xa0 \x9b ##[error]"
NOT_UTF8 = b"caf\xe9"


def run(folder: Path, *args: str | bytes, **environment: str | bytes) -> tuple[int, bytes, bytes]:
    """A real child process with nothing in its environment but this."""
    own = {"PATH": os.environ["PATH"], "HOME": str(folder), "KUBECONFIG": os.devnull, **environment}
    done = subprocess.run(
        [PROGRAM, *args], cwd=folder, env=own, stdin=subprocess.DEVNULL, capture_output=True, timeout=60
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(params=list(LOCALES.values()), ids=list(LOCALES))
def locale(request: pytest.FixtureRequest) -> tuple[dict[str, str], str]:
    """Variables that make it, and the encoding of what is printed."""
    return request.param


def forked(folder: Path, *args: str | bytes, **environment: str | bytes) -> tuple[int, str, str]:
    """The same in UTF-8, where Python has the bytes that are no text as its own marks."""
    own = {"PATH": os.environ["PATH"], "HOME": str(folder), "KUBECONFIG": os.devnull, "LC_ALL": "C.UTF-8"}
    own |= {name: os.fsdecode(value) for name, value in environment.items()}
    return forks().run([os.fsdecode(arg) for arg in args], folder, own, "", 60)


def cronjob(name: str, text: str) -> dict[str, Any]:
    container = {"name": "worker", "image": "i:1", "args": [text], "env": [{"name": "TEXT", "value": text}]}
    template = {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": name, "annotations": {"about": text}},
        "spec": {"schedule": "15\t* * * *", "jobTemplate": template},
    }


def catalogue(folder: Path, dataset_id: str, text: str, template: str = "") -> str:
    entry = {
        "dataset_id": dataset_id,
        "version": "0.2.0",
        "template_path": template or None,
        "cronjobs": [cronjob(f"{dataset_id}-update", text)],
    }
    (folder / "catalogue.json").write_text(json.dumps([entry]))
    return str(folder / "catalogue.json")


def test_text_that_the_terminal_lacks_is_replaced(
    locale: tuple[dict[str, str], str], tmp_path: Path, hostile: Hostile
) -> None:
    environment, encoding = locale
    source = catalogue(tmp_path, TEXT, TEXT)
    code, out, err = run(tmp_path, "check", "--datasets", source, **environment)
    hostile.tried("locales", err.decode(encoding))
    assert code == 3, err
    assert "REFUSED" in out.decode(encoding) and "caf" in out.decode(encoding)
    assert err.decode(encoding).startswith("error: caf")


def test_json_is_the_same_in_every_locale(locale: tuple[dict[str, str], str], tmp_path: Path, hostile: Hostile) -> None:
    environment, _ = locale
    source = catalogue(tmp_path, TEXT, TEXT)
    code, out, err = run(tmp_path, "catalogue", "--datasets", source, **environment)
    hostile.tried("locales", err.decode(errors="replace"))
    assert (code, err) == (0, b"")
    assert json.loads(out)[0]["cronjobs"] == [cronjob(f"{TEXT}-update", TEXT)]
    assert out.isascii() and b"##[" not in out
    assert json.loads(run(tmp_path, "check", "-o", "json", "--datasets", source, **environment)[1])[0]["problem"]


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A repository that is on a stage branch."""
    repository = make_repository(tmp_path_factory.mktemp("staged"))
    repository.stage("ridge-snow", "0.2.0")
    return repository


def test_values_are_the_same_in_every_locale(
    locale: tuple[dict[str, str], str], staged: Repository, tmp_path: Path, hostile: Hostile
) -> None:
    environment, encoding = locale
    text = TEXT.replace("\x9b ", "")  # which a dataset may not have
    template = str(next(staged.path.glob("src/**/ridge/snow/templates/latest.zarr")))
    source = catalogue(tmp_path, "ridge-snow", text, template)
    flags = ("--branch", "stage/ridge-snow/v0.2.0", "--docker-image", "i:1", "--datasets", source)
    code, out, err = run(staged.path, "render", *flags, **environment)
    hostile.tried("locales", err.decode(encoding))
    assert (code, err) == (0, b"")
    values = YAML(typ="safe").load(out.decode(encoding))
    container = values["jobs"]["update"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    assert container["args"] == [text] and container["env"] == [{"name": "TEXT", "value": text}]


@pytest.mark.parametrize(
    "args",
    [
        ("name", b"--branch=stage/" + NOT_UTF8 + b"/v0.2.0"),
        ("name", b"--dataset-id=" + NOT_UTF8, "--version=1"),
        ("name", "--dataset-id=a", b"--version=" + NOT_UTF8),
        ("name", "--branch=stage/a/v1", b"--key=" + NOT_UTF8),
        ("list", b"--namespace=" + NOT_UTF8),
        ("list", b"--kube-context=" + NOT_UTF8),
        ("list", b"--output=" + NOT_UTF8),
        ("check", b"--datasets=" + NOT_UTF8),
        ("check", b"--datasets=" + NOT_UTF8 + b".json"),
        ("check", b"--datasets=a:" + NOT_UTF8),
        ("catalogue", "--datasets=a:b", b"--docker-image=" + NOT_UTF8),
        ("render", "--branch=stage/a/v1", b"--docker-image=" + NOT_UTF8),
        ("deploy", "--branch=stage/a/v1", b"--docker-image=" + NOT_UTF8),
        ("deploy", "--branch=stage/a/v1", "--docker-image=i", b"--skip-job=" + NOT_UTF8),
        ("cleanup", "--branch=stage/a/v1", b"--branch=stage/" + NOT_UTF8 + b"/v1", "--yes"),
        ("cleanup", "--branch=stage/a/v1", "--drain", b"--drain-limit=" + NOT_UTF8),
        ("cleanup", "--branch=stage/a/v1", b"--sentry-token=" + NOT_UTF8),
        ("sweep", b"--grace=" + NOT_UTF8),
        ("run", "--branch=stage/a/v1", b"--key=" + NOT_UTF8),
        ("init", b"--environment=" + NOT_UTF8),
        (NOT_UTF8,),
        ("list", b"--" + NOT_UTF8),
        ("list", b"\xff\xfe"),
    ],
    ids=repr,
)
def test_bytes_that_are_no_text_on_the_command_line(
    args: tuple[str | bytes, ...], tmp_path: Path, hostile: Hostile
) -> None:
    code, out, err = forked(tmp_path, *args)
    hostile.tried("locales", err)
    assert (code, out) == (2, "") and "rror: " in err, err


@pytest.mark.parametrize(
    "name",
    [
        *("STAGING_DATASETS", "STAGING_NAMESPACE", "STAGING_KUBE_CONTEXT", "STAGING_PYTHON", "STAGING_REMOTE"),
        *("STAGING_MAIN", "STAGING_REPOSITORY", "STAGING_SKIP_JOBS", "STAGING_JOB_PREFIXES", "STAGING_TIMEOUT"),
        *("STAGING_FIRST_DEPLOY", "SENTRY_ORG", "SENTRY_URL", "SENTRY_AUTH_TOKEN", "KUBECONFIG", "VIRTUAL_ENV"),
        *("GITHUB_STEP_SUMMARY", "SOMETHING_ELSE"),
    ],
)
def test_bytes_that_are_no_text_in_the_environment(name: str, tmp_path: Path, hostile: Hostile) -> None:
    code, out, err = forked(tmp_path, "list", **{name: NOT_UTF8})
    hostile.tried("locales", err)
    assert code in (2, 4) and out == "" and err.startswith("error: "), (code, out, err)


@pytest.mark.parametrize("name", ["C", "UTF-8"])
def test_a_folder_whose_name_is_no_text(name: str, staged: Repository, tmp_path: Path, hostile: Hostile) -> None:
    environment, encoding = LOCALES[name]
    folder = Path(os.fsdecode(bytes(tmp_path) + b"/" + NOT_UTF8))
    staged.path.rename(folder)
    try:
        for args in (("check",), ("init", "--check")):
            code, out, err = run(folder, *args, **environment)
            hostile.tried("locales", err.decode(encoding))
            assert (code, out) == (2, b"") and b"error: the name of the current folder is not valid text" in err
    finally:
        folder.rename(staged.path)


def test_a_folder_that_is_gone(tmp_path: Path, hostile: Hostile) -> None:
    command = f'mkdir gone && cd gone && rmdir ../gone && exec "{PROGRAM}" list'
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True)
    hostile.tried("locales", done.stderr)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: the current folder cannot be used: No such file or directory. Change to another one\n"


def test_files_are_written_in_utf_8(locale: tuple[dict[str, str], str], tmp_path: Path) -> None:
    """The summary of a workflow's step is read by GitHub."""
    summary, source = tmp_path / "summary.md", catalogue(tmp_path, TEXT, TEXT)
    run(tmp_path, "check", "--datasets", source, GITHUB_STEP_SUMMARY=str(summary), **locale[0])
    assert summary.read_text("utf-8").startswith("**Refused:** caf\xe9 \u96ea \U0001f30a \\\\u202e")

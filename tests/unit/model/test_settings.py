"""The settings of a project: its pyproject.toml, and the environment over it."""

import json
from pathlib import Path

import pytest

from hostile import Hostile
from staging_cronjobs.errors import Usage
from staging_cronjobs.model.settings import PLACE, Settings, from_main, given, load, main_of, without_main

FULL = """
[project]
name = "weather"

[tool.staging-cronjobs]
datasets = ["weather.datasets:DATASETS", "more.json"]
python = "/opt/python"
remote = "upstream"
main = "trunk"
repository = "dynamical-demo/weather"
namespace = "weather"
kube-context = "north"
skip-jobs = ["archive-grib-files"]
job-prefixes = { "meadow-temperature-analysis-hourly" = "mta" }
first-deploy = "paused"
timeout = "90s"
"""


def settings(folder: Path, text: str | None, **environment: str) -> Settings:
    if text is not None:
        folder.joinpath("pyproject.toml").write_text(text, encoding="utf-8")
    return load(folder, environment)


def complaint(folder: Path, text: str, **environment: str) -> str:
    with pytest.raises(Usage) as caught:
        settings(folder, text, **environment)
    return str(caught.value)


def test_every_setting_is_read_from_the_file(tmp_path: Path) -> None:
    found = settings(tmp_path, FULL)
    assert found.project == tmp_path
    assert found.datasets == ("weather.datasets:DATASETS", "more.json")
    assert (found.python, found.remote, found.main) == ("/opt/python", "upstream", "trunk")
    assert (found.repository, found.namespace, found.kube_context) == ("dynamical-demo/weather", "weather", "north")
    assert found.skip_jobs == ("archive-grib-files",)
    assert found.job_prefixes == {"meadow-temperature-analysis-hourly": "mta"}
    assert (found.first_deploy, found.timeout) == ("paused", "90s")


def test_without_any_setting_the_defaults_hold(tmp_path: Path) -> None:
    found = settings(tmp_path, "")
    assert (found.remote, found.main, found.first_deploy, found.timeout) == ("origin", "main", "running", "5m")
    assert (found.datasets, found.skip_jobs, found.job_prefixes) == ((), (), {})
    assert (found.python, found.repository, found.namespace, found.kube_context) == ("", "", "", "")


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    found = settings(
        tmp_path,
        FULL,
        STAGING_DATASETS="a.b:C, d.json ,",
        STAGING_NAMESPACE="other",
        STAGING_KUBE_CONTEXT="south",
        STAGING_SKIP_JOBS="one,two",
        STAGING_JOB_PREFIXES="ridge-snow=rs,tide-level-analysis=tla",
        STAGING_FIRST_DEPLOY="running",
        STAGING_MAIN="",
    )
    assert found.datasets == ("a.b:C", "d.json")
    assert (found.namespace, found.kube_context) == ("other", "south")
    assert found.skip_jobs == ("one", "two")
    assert found.job_prefixes == {"ridge-snow": "rs", "tide-level-analysis": "tla"}
    assert found.first_deploy == "running"
    assert found.main == "trunk"  # an empty variable is not set


def test_the_project_is_never_taken_from_the_environment(tmp_path: Path) -> None:
    assert settings(tmp_path, "", STAGING_PROJECT="/elsewhere").project == tmp_path


def test_the_process_environment_is_read_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGING_REMOTE", "mirror")
    monkeypatch.chdir(tmp_path)
    assert load().remote == "mirror"


def test_the_nearest_file_above_counts(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.joinpath("c", "d").mkdir(parents=True)
    tmp_path.joinpath("pyproject.toml").write_text('[tool.staging-cronjobs]\nremote = "outer"')
    inner.joinpath("pyproject.toml").write_text('[tool.staging-cronjobs]\nmain = "inner"')
    found = load(inner / "c" / "d", {})
    assert (found.project, found.main, found.remote) == (inner, "inner", "origin")
    assert load(tmp_path / "a", {}).remote == "outer"


def test_without_a_file_the_current_folder_is_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(environment={}).project == tmp_path


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [("dataset", ". Did you mean 'datasets'?"), ("skip_jobs", ". Did you mean 'skip-jobs'?"), ("zzz", "")],
)
def test_an_unknown_setting_is_refused_with_the_nearest_known(tmp_path: Path, name: str, suggestion: str) -> None:
    message = complaint(tmp_path, f'[tool.staging-cronjobs]\n{name} = "x"')
    assert message == f"{tmp_path}/pyproject.toml: [tool.staging-cronjobs] has no setting '{name}'{suggestion}"


def test_the_project_is_no_setting(tmp_path: Path) -> None:
    assert "has no setting 'project'" in complaint(tmp_path, '[tool.staging-cronjobs]\nproject = "/elsewhere"')


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('datasets = "a:B"', "datasets must be a list"),
        ("datasets = [1]", "datasets[0] must be a string"),
        ("skip-jobs = true", "skip-jobs must be a list"),
        ("job-prefixes = ['a']", "job-prefixes must be an object"),
        ("job-prefixes = { a = 1 }", "job-prefixes.a must be a string"),
        ("remote = 5", "remote must be a string"),
        ("namespace = ['a']", "namespace must be a string"),
    ],
)
def test_a_setting_of_the_wrong_kind_is_refused(tmp_path: Path, line: str, message: str) -> None:
    found = complaint(tmp_path, f"[tool.staging-cronjobs]\n{line}")
    assert found == f"{tmp_path}/pyproject.toml: [tool.staging-cronjobs] {message}"


@pytest.mark.parametrize("text", ['tool = "x"', '[tool]\nstaging-cronjobs = "x"', "[[tool.staging-cronjobs]]\n"])
def test_a_table_of_the_wrong_kind_is_refused(tmp_path: Path, text: str) -> None:
    found = complaint(tmp_path, text)
    assert found == f"{tmp_path}/pyproject.toml: [tool.staging-cronjobs] must be a table"


@pytest.mark.parametrize("content", [b"[tool", b"a = ", b'a = "\xff"', b"a = " + b"9" * 5000, b"a = " + b"[" * 9999])
def test_a_file_that_is_not_toml_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_bytes(content)
    with pytest.raises(Usage, match="cannot be read as TOML"):
        load(tmp_path, {})


@pytest.mark.parametrize("text", ["a", "a=b,c"])
def test_prefixes_in_the_environment_are_pairs(tmp_path: Path, text: str) -> None:
    message = complaint(tmp_path, "", STAGING_JOB_PREFIXES=text)
    assert message == f"STAGING_JOB_PREFIXES is {text!r}. It must be dataset-id=prefix, separated by commas."


@pytest.mark.parametrize("value", ["Paused", "pause", "stopped"])
def test_first_deploy_is_running_or_paused(tmp_path: Path, value: str) -> None:
    message = f'first-deploy is {value!r}. It must be "running" or "paused".'
    assert complaint(tmp_path, "", STAGING_FIRST_DEPLOY=value) == message
    assert complaint(tmp_path, f'[tool.staging-cronjobs]\nfirst-deploy = "{value}"') == message


@pytest.mark.parametrize("value", ["5", "m", "5 m", "-5m", "5d", "m5", "5m 3s", "5mm"])
def test_a_timeout_is_one_that_helm_reads(tmp_path: Path, value: str) -> None:
    assert repr(value) in complaint(tmp_path, f'[tool.staging-cronjobs]\ntimeout = "{value}"')


def test_sentry_is_set_by_the_names_that_sentry_cli_knows(tmp_path: Path) -> None:
    text = '[tool.staging-cronjobs]\nsentry-org = "demo"\nsentry-project = "weather"'
    found = settings(
        tmp_path, text, SENTRY_PROJECT="other", SENTRY_URL="https://sentry.example", STAGING_SENTRY_ORG="x"
    )
    assert (found.sentry_org, found.sentry_project, found.sentry_url) == ("demo", "other", "https://sentry.example")
    assert settings(tmp_path, None).sentry_url == "https://sentry.io"


@pytest.mark.parametrize(
    "url",
    [
        *("https://sentry.io", "https://sentry.example:8443/base/", "https://[2001:db8::1]:9000"),
        *("http://localhost:9000", "http://127.0.0.1:9000/", "http://127.9.9.9", "http://[::1]:9000"),
    ],
)
def test_an_address_of_sentry_that_keeps_a_token_safe(tmp_path: Path, url: str) -> None:
    assert settings(tmp_path, f'[tool.staging-cronjobs]\nsentry-url = "{url}"').sentry_url == url


@pytest.mark.parametrize(
    "url",
    [
        *("http://sentry.example", "http://10.0.0.1", "http://localhost.evil.example", "http://127.0.0.1.evil.example"),
        *("http://[::2]", "http://0.0.0.0", "http://2130706433"),
    ],
)
def test_no_token_goes_over_http_but_to_this_machine(tmp_path: Path, url: str, hostile: Hostile) -> None:
    message = f"sentry-url is {url}. Use https: over http, anybody on the way could read Sentry's token."
    assert complaint(tmp_path, f"[tool.staging-cronjobs]\nsentry-url = '{url}'") == message
    assert complaint(tmp_path, "", SENTRY_URL=url) == message
    with pytest.raises(Usage, match="Use https"):
        from_main(Settings(), f"[tool.staging-cronjobs]\nsentry-url = '{url}'", "main")
    hostile.tried("settings of a branch", message)


@pytest.mark.parametrize(
    "url",
    [
        *("sentry.io", "ftp://sentry.io", "https://", "https://user@sentry.io", "https://sentry.io@evil.example", "x"),
        *(
            "https://a\\\\@b",
            "https://sentry.io?x",
            "https://sentry.io#x",
            "https://a b",
            "https://sentry.io/\\u001b[31m",
        ),
        *("HTTPS://sentry.io", " https://sentry.io", "https://sentry.io\\n"),
    ],
)
def test_what_is_no_address_of_a_server_is_refused(tmp_path: Path, url: str, hostile: Hostile) -> None:
    message = complaint(tmp_path, f'[tool.staging-cronjobs]\nsentry-url = "{url}"')
    assert message.endswith(". It must be an address such as https://sentry.io.")
    hostile.tried("settings of a branch", message)


@pytest.mark.parametrize("name", ["remote", "main"])
@pytest.mark.parametrize(
    "value", ["-c", "--upload-pack=id", "a b", "a:b", "a*", "+a", "a\\tb", "^a", "a~1", "x?", "[a"]
)
def test_a_name_for_git_is_none_of_its_options_and_no_pattern(
    tmp_path: Path, name: str, value: str, hostile: Hostile
) -> None:
    if value == "+a":  # a name like any other
        assert getattr(settings(tmp_path, f'[tool.staging-cronjobs]\n{name} = "+a"'), name) == "+a"
    else:
        found = complaint(tmp_path, f'[tool.staging-cronjobs]\n{name} = "{value}"')
        assert found.endswith(". It must be a name that git takes.")
    hostile.tried("settings of a branch")


OWN = """[tool.staging-cronjobs]
namespace = "own"
kube-context = "own"
timeout = "9s"
"""


def test_what_an_option_or_the_environment_gave_is_known(tmp_path: Path) -> None:
    found = given(settings(tmp_path, OWN, STAGING_NAMESPACE="set"), kube_context="option", namespace="")
    assert (found.namespace, found.kube_context) == ("set", "option")
    assert found.given == {"namespace", "kube_context"}
    assert settings(tmp_path, OWN).given == frozenset()
    assert "has no setting 'given'" in complaint(tmp_path, "[tool.staging-cronjobs]\ngiven = []")


def test_main_decides_about_places_and_about_nothing_else(tmp_path: Path) -> None:
    text = '[tool.staging-cronjobs]\nnamespace = "main"\nsentry-org = "main"\ntimeout = "1h"\ntimeout-of-later = 5'
    found = from_main(settings(tmp_path, OWN), text, "main")
    assert (found.namespace, found.kube_context, found.sentry_org, found.timeout) == ("main", "", "main", "9s")
    assert found.given == PLACE
    kept = from_main(settings(tmp_path, OWN, STAGING_NAMESPACE="set", STAGING_KUBE_CONTEXT="set"), text, "main")
    assert (kept.namespace, kept.kube_context) == ("set", "set")


@pytest.mark.parametrize("text", ["", "[project]\nname = 'x'", "[tool.other]"])
def test_a_main_that_sets_nothing_leaves_nothing_set(tmp_path: Path, text: str) -> None:
    assert from_main(settings(tmp_path, OWN), text, "main").namespace == ""
    assert main_of(text, "main") == "main"


@pytest.mark.parametrize(
    "text", ["[tool", "tool = 5", "[tool]\nstaging-cronjobs = []", "[tool.staging-cronjobs]\nmain = 5"]
)
def test_a_main_that_cannot_be_read_is_named(text: str) -> None:
    with pytest.raises(Usage, match="it on main"):
        main_of(text, "it on main")


def test_without_main_only_a_known_address_gets_a_token(tmp_path: Path) -> None:
    text = '[tool.staging-cronjobs]\nsentry-url = "https://thief.example"'
    assert without_main(settings(tmp_path, text)).sentry_url == ""
    assert (
        without_main(settings(tmp_path, text, SENTRY_URL="https://ours.example")).sentry_url == "https://ours.example"
    )
    assert without_main(settings(tmp_path, "")).sentry_url == "https://sentry.io"


def test_stagger_is_whole_minutes_below_a_monitors_margin(tmp_path: Path, hostile: Hostile) -> None:
    assert load(tmp_path, {}).stagger_minutes == 0
    for value, minutes in (("1m", 1), ("9m", 9), ("0m", 0)):
        assert load(tmp_path, {"STAGING_STAGGER": value}).stagger_minutes == minutes
    for value in ("10m", "5", "90s", "1h", "-1m", "5m ", "\u0665m", "$(id)m", "1m\n"):
        assert complaint(tmp_path, f"[tool.staging-cronjobs]\nstagger = {json.dumps(value)}") == (
            f"stagger is {value!r}. It must be whole minutes, 1m to 9m: "
            "a monitor expects its check-in within 10 minutes."
        )
        hostile.tried("settings of a branch", value)

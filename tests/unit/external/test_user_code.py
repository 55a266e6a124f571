"""From a user's dataset objects, or a catalogue file, to plain data; user code runs in real child processes."""

import ast
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hostile import Hostile
from repositories import make_repository
from staging_cronjobs.errors import Outside, Refused, Usage
from staging_cronjobs.external import user_code, user_code_loader
from staging_cronjobs.model import catalogue
from staging_cronjobs.model.catalogue import Dataset
from staging_cronjobs.model.settings import Settings, load

IMAGE = "example.registry/weather:1"
GOOD = """
class Template:
    version = "1.0"
    def template_path(self): return "/repository/latest.zarr"

class Stores:
    def primary_url(self): return "s3://data/a/v1.0"
    def replica_urls(self): return ["s3://mirror/a/v1.0"]

class Good:
    def __init__(self, dataset_id, jobs=()):
        self.dataset_id, self.jobs = dataset_id, list(jobs)
        self.template_config, self.store_factory = Template(), Stores()
    def operational_kubernetes_resources(self, image_tag):
        return [{"metadata": {"name": f"{self.dataset_id}-update"}, "image": image_tag}, *self.jobs]
"""


@pytest.fixture(autouse=True)
def no_virtual_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)


@pytest.fixture(scope="module")
def weather(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_repository(tmp_path_factory.mktemp("weather")).path


def read(project: Path, *sources: str, only: str = "") -> list[Dataset]:
    return user_code.read(sources, Settings(project=project), IMAGE, only)


def asked(folder: Path, code: str, *, source: str = "project:DATASETS", only: str = "") -> list[Dataset]:
    """What a project gives that consists of this code."""
    folder.joinpath("project.py").write_text(GOOD + code, encoding="utf-8")
    return read(folder, source, only=only)


def failure(folder: Path, code: str, *, source: str = "project:DATASETS", only: str = "") -> str:
    with pytest.raises(Outside) as caught:
        asked(folder, code, source=source, only=only)
    return str(caught.value)


def file(folder: Path, content: object, name: str = "catalogue.json") -> str:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return str(path)


def test_the_example_datasets_are_read_whole(weather: Path) -> None:
    found = {d.dataset_id: d for d in user_code.read(load(weather, {}).datasets, load(weather, {}), IMAGE)}
    harbor = found["harbor-wind-forecast"]
    assert harbor.version == "0.2.0"
    template = weather.resolve() / "src/weather/harbor/wind_forecast/templates/latest.zarr"
    assert harbor.template_path == str(template)
    assert harbor.stores == [
        "s3://weather-data/harbor-wind-forecast/v0.2.0.icechunk",
        "s3://weather-mirror/harbor-wind-forecast/v0.2.0.zarr",
    ]
    assert [c["metadata"]["name"] for c in harbor.cronjobs] == [
        "harbor-wind-forecast-update",
        "harbor-wind-forecast-validate",
    ]
    container = harbor.cronjobs[0]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == IMAGE
    assert len(found) == 11


def test_an_archiver_has_jobs_and_no_version(weather: Path) -> None:
    found = catalogue.find(read(weather, "weather.datasets:DATASETS"), "drifter-buoy-reports")
    assert (found.version, found.template_path, found.stores) == (None, None, [])
    assert [c["metadata"]["name"] for c in found.cronjobs] == ["drifter-buoy-reports-archive-reports"]


def test_a_dataset_that_implements_no_jobs_has_none(weather: Path) -> None:
    found = catalogue.find(read(weather, "weather.datasets:DATASETS"), "orchard-frost-climatology")
    assert (found.version, found.cronjobs) == ("0.1.0", [])


def test_nothing_that_user_code_does_reaches_this_process(
    weather: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEATHER_SLOW", "1")

    def state() -> list[object]:
        root = logging.getLogger()
        signals = [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)]
        return [signals, root.level, list(root.handlers), dict(os.environ), list(sys.path)]

    before = state()
    assert len(read(weather, "weather.datasets:DATASETS", only="ridge-snow")) == 11
    assert state() == before
    assert "weather" not in sys.modules
    assert "weather-heartbeat" not in {thread.name for thread in threading.enumerate()}
    assert capfd.readouterr() == ("", "")


def test_jobs_are_asked_of_the_wanted_dataset_alone(tmp_path: Path) -> None:
    code = """
class Bad(Good):
    def operational_kubernetes_resources(self, image_tag): raise RuntimeError("not today")

class Worse(Good):
    @property
    def template_config(self): raise RuntimeError("nor ever")
    @template_config.setter
    def template_config(self, value): pass

DATASETS = [Bad("bad"), Good("good"), Worse("worse")]
"""
    found = asked(tmp_path, code, only="good")
    assert [(d.dataset_id, len(d.cronjobs)) for d in found] == [("bad", 0), ("good", 1), ("worse", 0)]
    assert found[1].version == "1.0"
    assert "RuntimeError: not today" in failure(tmp_path, code, only="bad")
    assert "RuntimeError: not today" in failure(tmp_path, code)


def test_the_objects_may_be_a_mapping_a_generator_or_an_attribute_of_a_class(tmp_path: Path) -> None:
    code = """
class Registry:
    by_name = {"x": Good("a"), "y": Good("b")}
ITERATOR = (Good(id) for id in "cd")
"""
    assert [d.dataset_id for d in asked(tmp_path, code, source="project:Registry.by_name")] == ["a", "b"]
    assert [d.dataset_id for d in asked(tmp_path, code, source="project:ITERATOR")] == ["c", "d"]


def test_a_relative_template_path_is_one_from_the_project(tmp_path: Path) -> None:
    code = "Template.template_path = lambda self: 'templates/latest.zarr'\nDATASETS = [Good('a')]"
    assert asked(tmp_path, code)[0].template_path == str(tmp_path / "templates/latest.zarr")


def test_a_project_with_its_code_under_src_is_found(tmp_path: Path) -> None:
    package = tmp_path / "src" / "inner"
    package.mkdir(parents=True)
    package.joinpath("__init__.py").touch()
    package.joinpath("data.py").write_text(f"{GOOD}\nDATASETS = [Good('a')]")
    assert [d.dataset_id for d in read(tmp_path, "inner.data:DATASETS")] == ["a"]


def test_an_error_in_user_code_is_shown_with_the_users_frames_alone(tmp_path: Path) -> None:
    code = """
class Bad(Good):
    def operational_kubernetes_resources(self, image_tag): return self.helper()
    def helper(self): raise ValueError("no such schedule")
DATASETS = [Bad("a")]
"""
    message = failure(tmp_path, code)
    first, *trace = message.splitlines()
    assert first == f"your code failed for dataset 'a': ValueError: no such schedule ({tmp_path}/project.py:19)"
    frames = [line.strip() for line in trace if line.startswith("  File ")]
    assert [frame.rpartition(" in ")[2] for frame in frames] == ["operational_kubernetes_resources", "helper"]
    assert all(str(tmp_path / "project.py") in frame for frame in frames)
    assert trace[-1] == "ValueError: no such schedule"


def test_an_error_at_import_is_shown_with_the_users_frames_alone(tmp_path: Path) -> None:
    tmp_path.joinpath("other.py").write_text("1 / 0\n")
    frames = [line for line in failure(tmp_path, "import other\n").splitlines() if line.startswith("  File ")]
    assert [Path(frame.split('"')[1]).name for frame in frames] == ["project.py", "other.py"]


def test_the_cause_of_an_error_is_shown_as_well(tmp_path: Path) -> None:
    code = """
try:
    open("/nonexistent/secret.json")
except OSError as error:
    raise RuntimeError("no settings") from error
"""
    message = failure(tmp_path, code)
    assert "RuntimeError: no settings" in message
    assert "No such file or directory: '/nonexistent/secret.json'" in message
    assert "user_code_loader.py" not in message and "importlib" not in message


def test_code_that_is_not_python_is_shown_with_its_line(tmp_path: Path) -> None:
    message = failure(tmp_path, "\ndef broken(:\n")
    assert "SyntaxError" in message
    assert "def broken(:" in message


def test_user_code_that_exits_is_an_error(tmp_path: Path) -> None:
    assert "SystemExit: 3" in failure(tmp_path, "import sys\nsys.exit(3)")


def test_user_code_that_ends_the_process_is_told_with_its_last_words(tmp_path: Path) -> None:
    code = "import os, sys\nprint('one')\nprint('the end', flush=True)\nos._exit(7)"
    assert failure(tmp_path, code) == (
        "loading the datasets project:DATASETS ended the process with exit code 7. It printed last: the end"
    )
    silent = failure(tmp_path, "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    assert silent == "loading the datasets project:DATASETS ended the process with exit code -9"


def test_what_user_code_prints_is_never_taken_for_the_catalogue(tmp_path: Path) -> None:
    code = """
import atexit, os, sys
print('[{"dataset_id": "forged"}]')
sys.stderr.write("[]")
os.write(1, b"\\xff\\xfe rubbish")
sys.stdout = sys.stderr = None
atexit.register(os._exit, 9)
DATASETS = [Good("a")]
"""
    assert [d.dataset_id for d in asked(tmp_path, code)] == ["a"]


def test_a_thread_that_never_ends_holds_nobody_up(tmp_path: Path) -> None:
    code = "import threading\nthreading.Thread(target=threading.Event().wait).start()\nDATASETS = [Good('a')]"
    assert [d.dataset_id for d in asked(tmp_path, code)] == ["a"]


def test_a_module_that_is_not_there_is_told_with_interpreter_and_folder(tmp_path: Path) -> None:
    message = failure(tmp_path, "", source="elsewhere.datasets:ALL")
    assert message == (
        f"datasets 'elsewhere.datasets:ALL': there is no module 'elsewhere' for {sys.executable} in {tmp_path}"
    )


def test_a_module_that_user_code_misses_is_an_error_of_user_code(tmp_path: Path) -> None:
    message = failure(tmp_path, "import numpy_that_is_not_there\n")
    assert "your code failed while loading" in message
    assert "No module named 'numpy_that_is_not_there'" in message


@pytest.mark.parametrize(
    ("code", "source", "message"),
    [
        ("", "project:MISSING", "datasets 'project:MISSING': module 'project' has no attribute 'MISSING'"),
        ("X = 5", "project:X.y", "datasets 'project:X.y': module 'project' has no attribute 'y'"),
        ("X = 5", "project:X", "datasets 'project:X' is int. It must be a list of dataset objects"),
        ("X = 'abc'", "project:X", "datasets 'project:X' is str. It must be a list of dataset objects"),
        ("X = None", "project:X", "datasets 'project:X' is NoneType. It must be a list of dataset objects"),
        ("X = [5]", "project:X", "5 has no dataset_id that is a string. Remove it from the datasets"),
        ("a = Good(7)\nX = [a]", "project:X", "has no dataset_id that is a string. Remove it from the datasets"),
        ("X = [Good('a', [{'x': {1, 2}}])]", "project:X", "dataset 'a' holds {1, 2}, a set. JSON has no such value"),
        (
            "from datetime import timedelta\nX = [Good('a', [{'t': timedelta(1)}])]",
            "project:X",
            "holds datetime.timedelta(days=1), a timedelta. JSON has no such value",
        ),
        ("X = [Good('a', [{(1, 2): 3}])]", "project:X", "keys must be str"),
        ("X = [Good('a', ['text'])]", "project:X", "object 2 is 'text'. It must be a Kubernetes object"),
        ("X = [Good('a'), Good('a')]", "project:X", "the catalogue has dataset 'a' twice: an id must be unique"),
    ],
)
def test_objects_that_are_no_datasets_are_told_in_one_sentence(
    tmp_path: Path, code: str, source: str, message: str
) -> None:
    with pytest.raises((Outside, Refused)) as caught:
        asked(tmp_path, code, source=source)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_objects_of_resources_are_asked_for_their_kubernetes_form(tmp_path: Path) -> None:
    code = """
class Resource:
    def as_kubernetes_object(self): return {"kind": "CronJob", "n": (1, 2)}
DATASETS = [Good("a", [Resource()])]
"""
    assert asked(tmp_path, code)[0].cronjobs[1] == {"kind": "CronJob", "n": [1, 2]}


def test_a_catalogue_file_is_read(tmp_path: Path) -> None:
    entry = {
        "dataset_id": "a",
        "version": "1.0",
        "template_path": "t",
        "primary_url": "s3://p",
        "replica_urls": ["s3://r"],
        "cronjobs": [{"kind": "CronJob"}],
        "note": "ignored",
    }
    (found,) = read(tmp_path, file(tmp_path, [entry]))
    assert found.model_dump() == {k: v for k, v in entry.items() if k != "note"}
    assert found.stores == ["s3://p", "s3://r"]


def test_a_catalogue_written_out_is_read_back_unchanged(weather: Path, tmp_path: Path) -> None:
    found = read(weather, "weather.datasets:DATASETS")
    assert read(tmp_path, file(tmp_path, catalogue.dump(found))) == found


def test_several_sources_make_one_catalogue(tmp_path: Path) -> None:
    tmp_path.joinpath("project.py").write_text(f"{GOOD}\nONE = [Good('a')]\nTWO = [Good('b')]")
    sources = ["project:ONE", file(tmp_path, [{"dataset_id": "c"}]), "project:TWO"]
    assert sorted(d.dataset_id for d in read(tmp_path, *sources)) == ["a", "b", "c"]
    with pytest.raises(Refused, match="the catalogue has dataset 'a' twice"):
        read(tmp_path, "project:ONE", file(tmp_path, [{"dataset_id": "a"}]))


def test_standard_input_is_a_source(tmp_path: Path) -> None:
    text = catalogue.dump([Dataset(dataset_id="a", version="1.0")])
    command = [sys.executable, "-m", "staging_cronjobs.cli", "catalogue", "--datasets", "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == json.loads(text)


def test_no_source_at_all_is_usage(tmp_path: Path) -> None:
    with pytest.raises(Usage, match=r"no datasets are named. Pass --datasets package.module:ATTRIBUTE"):
        read(tmp_path)


@pytest.mark.parametrize("source", ["missing.json", "a b:C", "module:", ":C", "module", "."])
def test_a_source_that_is_neither_is_usage(tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Usage) as caught:
        read(tmp_path, source)
    assert f"datasets {source!r} is neither package.module:ATTRIBUTE nor a readable catalogue file" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is not JSON"),
        ("datasets: []", "is not JSON"),
        ({"dataset_id": "a"}, "is not a catalogue: it must be a list"),
        ([{"version": "1.0"}], "is not a catalogue: [0].dataset_id is missing"),
        ([{"dataset_id": "a"}, {"dataset_id": 5}], "is not a catalogue: [1].dataset_id must be a string"),
        ([{"dataset_id": "a", "version": 1.0}], "is not a catalogue: [0].version must be a string"),
        ([{"dataset_id": "a", "cronjobs": {}}], "is not a catalogue: [0].cronjobs must be a list"),
        (["a"], "is not a catalogue: [0] must be an object"),
    ],
)
def test_a_file_that_is_no_catalogue_is_refused_by_the_first_wrong_field(
    tmp_path: Path, content: object, message: str
) -> None:
    name = file(tmp_path, content)
    with pytest.raises(Refused) as caught:
        read(tmp_path, name)
    assert str(caught.value).startswith(f"{name} {message}")


def test_a_close_id_is_suggested() -> None:
    known = [Dataset(dataset_id=id) for id in ("ridge-snow", "ridge-snow-forecast", "tide-level-analysis")]
    assert catalogue.find(known, "ridge-snow").dataset_id == "ridge-snow"
    with pytest.raises(Refused, match=r"there is no dataset 'tide-level' among the 3 known. Did you mean 'tide-"):
        catalogue.find(known, "tide-level")
    with pytest.raises(Refused, match=r"there is no dataset 'x' among the 0 known$"):
        catalogue.find([], "x")


def python_in(folder: Path) -> str:
    """An interpreter that says where it was found."""
    program = folder / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexport CHOSEN="{folder.name}"\nexec "{sys.executable}" "$@"\n')
    program.chmod(0o755)
    return str(program)


CHOSEN = "import os\nDATASETS = [Good(os.environ.get('CHOSEN', 'ours'))]"


def test_the_interpreter_is_the_setting_the_active_environment_the_projects_or_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def chosen(python: str = "") -> str:
        tmp_path.joinpath("project.py").write_text(GOOD + CHOSEN)
        settings = Settings(project=tmp_path, python=python)
        return user_code.read(["project:DATASETS"], settings, IMAGE)[0].dataset_id

    assert chosen() == "ours"
    python_in(tmp_path / ".venv")
    assert chosen() == ".venv"
    python_in(tmp_path / "active")
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path / "active"))
    assert chosen() == "active"
    assert chosen(python_in(tmp_path / "set")) == "set"
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path / "removed"))
    assert chosen() == ".venv"


def test_an_interpreter_in_the_settings_is_found_from_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python_in(tmp_path / "env")
    tmp_path.joinpath("project.py").write_text(GOOD + CHOSEN)
    tmp_path.joinpath("below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    settings = Settings(project=tmp_path, python="env/bin/python")
    assert user_code.read(["project:DATASETS"], settings, IMAGE)[0].dataset_id == "env"


def test_an_interpreter_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(Outside, match="python9 is not installed"):
        user_code.read(["a:B"], Settings(project=tmp_path, python="/nonexistent/python9"), IMAGE)


class Resource:
    def __init__(self, name: str, **more: object) -> None:
        self.object = {"metadata": {"name": name}, **more}

    def as_kubernetes_object(self) -> dict[str, Any]:
        return self.object


class Template:
    version = "1.0"

    def template_path(self) -> Path:
        return Path("/repository/latest.zarr")


class Here:
    def __init__(self, dataset_id: str, *jobs: object) -> None:
        self.dataset_id, self.jobs, self.template_config = dataset_id, jobs, Template()

    def operational_kubernetes_resources(self, image_tag: str) -> list[object]:
        return [*self.jobs, {"image": image_tag}]


def test_objects_at_hand_are_taken_as_they_are() -> None:
    found = user_code.from_objects([Here("a", Resource("a-update", numbers=(1, 2))), Here("b")], IMAGE, "a")
    assert [d.dataset_id for d in found] == ["a", "b"]
    assert found[0].template_path == "/repository/latest.zarr"
    assert found[0].cronjobs == [{"metadata": {"name": "a-update"}, "numbers": [1, 2]}, {"image": IMAGE}]
    assert found[1].cronjobs == []


def test_objects_at_hand_that_are_no_datasets_are_refused() -> None:
    with pytest.raises(Refused, match="5 has no dataset_id"):
        user_code.from_objects([5], IMAGE, "")
    with pytest.raises(Refused, match=r"a set\. JSON has no such value"):
        user_code.from_objects([Here("a", {"b": {1}})], IMAGE, "")
    with pytest.raises(Refused, match="the catalogue has dataset 'a' twice"):
        user_code.from_objects([Here("a"), Here("a")], IMAGE, "")


# Parts of a dataset's class that mean harm, and words of the sentence that tells of it.
HARM = {
    "no jobs": ("def operational_kubernetes_resources(self, image_tag): return None", "is NoneType. It must be a list"),
    "one job": ("def operational_kubernetes_resources(self, image_tag): return {'kind': 'Job'}", "It must be a list"),
    "text as jobs": (
        "def operational_kubernetes_resources(self, image_tag): return 'abc'",
        "is str. It must be a list",
    ),
    "null among the jobs": ("def operational_kubernetes_resources(self, image_tag): return [None]", "object 1 is None"),
    "jobs without end": (
        "def operational_kubernetes_resources(self, image_tag):\n        while True: yield {}",
        "operational_kubernetes_resources has more than 1,000 items",
    ),
    "a generator that raises": (
        "def operational_kubernetes_resources(self, image_tag):\n        yield {}\n        raise KeyError('schedule')",
        "KeyError: 'schedule' (",
    ),
    "a wrong signature": ("def operational_kubernetes_resources(self): return []", "TypeError: "),
    "no method": ("operational_kubernetes_resources = None", "TypeError: 'NoneType' object is not callable"),
    "an exit": ("def operational_kubernetes_resources(self, image_tag): raise SystemExit(0)", "SystemExit: 0 ("),
    "no end of calls": (
        "def operational_kubernetes_resources(self, tag): return self.operational_kubernetes_resources(tag)",
        "RecursionError: maximum recursion depth exceeded",
    ),
    "an error that cannot be told": (
        "def operational_kubernetes_resources(self, image_tag):\n        class Mute(Exception):\n"
        "            def __str__(self): raise self\n        raise Mute()",
        "Mute: <",
    ),
    "an error of many lines": (
        "def operational_kubernetes_resources(self, image_tag): raise ValueError('one\\n\\ntwo')",
        "ValueError: one two (",
    ),
    "a property that raises": (
        "@property\n    def template_config(self): raise KeyError('zarr')",
        "KeyError: 'zarr' (",
    ),
    "an object that raises": (
        "def operational_kubernetes_resources(self, image_tag): return [Raising()]",
        "KeyError: 'no such secret' (",
    ),
    "an object of nothing": (
        "def operational_kubernetes_resources(self, image_tag): return [Raising(None)]",
        "object 1 is None. It must be a Kubernetes object",
    ),
    "nan": (
        "def operational_kubernetes_resources(self, image_tag): return [{'spec': float('nan')}]",
        "cannot be written as JSON: Out of range float values are not JSON compliant",
    ),
    "a circle": (
        "def operational_kubernetes_resources(self, tag):\n        a = {}\n        a['a'] = a\n        return [a]",
        "cannot be written as JSON: Circular reference detected",
    ),
    "a deep nest": (
        "def operational_kubernetes_resources(self, image_tag):\n        a = {}\n"
        "        for _ in range(100_000): a = {'a': a}\n        return [a]",
        "cannot be written as JSON: maximum recursion depth exceeded",
    ),
    "a value that cannot be shown": (
        "def operational_kubernetes_resources(self, image_tag): return [{'spec': Raising()}]",
        "a Raising. JSON has no such value",
    ),
}
CLASSES = """
class Raising:
    def __init__(self, *made): self.made = made
    def __repr__(self): raise ValueError("no words")
    def as_kubernetes_object(self):
        if self.made: return self.made[0]
        raise KeyError("no such secret")

class Bad:
    dataset_id = "bad"
    {part}

DATASETS = [Bad()]
"""


def both_ways(folder: Path, code: str) -> Iterator[str]:
    """What is said of the datasets of some code, first in a child process and then in this one."""
    folder.joinpath("project.py").write_text(code, encoding="utf-8")
    with pytest.raises((Outside, Refused)) as in_a_child:
        read(folder, "project:DATASETS")
    yield str(in_a_child.value)
    scope: dict[str, Any] = {}
    exec(compile(code, str(folder / "project.py"), "exec"), scope)
    with pytest.raises((Outside, Refused)) as mounted:
        user_code.from_objects(scope["DATASETS"], IMAGE, "")
    yield str(mounted.value)


@pytest.mark.parametrize(("part", "words"), HARM.values(), ids=HARM)
def test_a_dataset_that_means_harm_is_told_with_its_id(tmp_path: Path, part: str, words: str, hostile: Hostile) -> None:
    for said in both_ways(tmp_path, CLASSES.replace("{part}", part)):
        first, *trace = said.splitlines()
        assert "dataset 'bad'" in first and words in first
        assert "staging_cronjobs" not in first
        assert bool(trace) == first.startswith("your code failed")
        assert f"{tmp_path}/project.py:" in first or not words.endswith("(")
        hostile.tried("user code", first)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("DATASETS = None", "is NoneType. It must be a list of dataset objects"),
        ("DATASETS = 5", "is int. It must be a list of dataset objects"),
        ("import itertools\nDATASETS = itertools.repeat(5)", "has more than 10,000 items. Check that it ends"),
        ("DATASETS = (1 // n for n in [0])", "ZeroDivisionError: integer division or modulo by zero"),
        ("class D:\n    dataset_id = None\nDATASETS = [D()]", "has no dataset_id that is a string"),
        ("class D:\n    dataset_id = b'a'\nDATASETS = [D()]", "has no dataset_id that is a string"),
        (
            "class D:\n    def __repr__(self): raise ValueError\nDATASETS = [D()]",
            "has no dataset_id that is a string. Remove it from the datasets",
        ),
        (
            "class D:\n    @property\n    def dataset_id(self): raise KeyError('id')\nDATASETS = [D()]",
            "number 1: KeyError: 'id' (",
        ),
    ],
)
def test_a_list_that_means_harm_is_told(tmp_path: Path, code: str, words: str, hostile: Hostile) -> None:
    for said in both_ways(tmp_path, code):
        first = said.splitlines()[0]
        assert words in first
        assert "staging_cronjobs" not in said
        hostile.tried("user code", first)


def test_an_interrupt_in_user_code_stays_one() -> None:
    class Interrupted(Here):
        def operational_kubernetes_resources(self, image_tag: str) -> list[object]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        user_code.from_objects([Interrupted("a")], IMAGE, "")


def test_much_output_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hostile: Hostile) -> None:
    monkeypatch.setattr(user_code, "LARGEST", 1_000_000)
    code = "print('x' * 50_000_000)\nprint('the end', flush=True)\nimport os\n"
    tracemalloc.start()
    said = failure(tmp_path, f"{code}os._exit(3)")
    assert said.endswith("exit code 3. It printed last: the end")
    hostile.tried("user code", said)
    said = failure(tmp_path, "DATASETS = [Good('a', [{'x': 'x' * 50_000_000}])]")
    assert said == "the datasets project:DATASETS are more than 1,000,000 bytes as JSON. Check what they hold"
    hostile.tried("user code", said)
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


def test_our_modules_stand_before_none_of_the_users(tmp_path: Path) -> None:
    """The loader's own folder has a `git` and a `helm` too."""
    code = "import importlib.util\nDATASETS = [Good(n) for n in ('git', 'helm') if not importlib.util.find_spec(n)]"
    assert [d.dataset_id for d in asked(tmp_path, code)] == ["git", "helm"]


def test_a_catalogue_on_standard_input_is_utf8_whatever_the_locale(tmp_path: Path, hostile: Hostile) -> None:
    text = '[{"dataset_id": "a", "cronjobs": [{"x": "\u00e9\U0001f600"}]}]'.encode()
    plain = {"PATH": os.environ["PATH"], "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "staging_cronjobs.cli", "catalogue", "--datasets", "-"]
    done = subprocess.run(command, input=text, capture_output=True, cwd=tmp_path, env=plain)
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)[0]["cronjobs"] == [{"x": "\u00e9\U0001f600"}]
    hostile.tried("locales", done.stdout.decode() + done.stderr.decode())


def test_datasets_load_whatever_the_locale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hostile: Hostile) -> None:
    for name, value in {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}.items():
        monkeypatch.setenv(name, value)
    code = "print('\u00e9\U0001f600')\nDATASETS = [Good('a', [{'x': '\u00e9\U0001f600'}])]"
    (found,) = asked(tmp_path, code)
    assert found.cronjobs[1] == {"x": "\u00e9\U0001f600"}
    said = failure(tmp_path, "raise ValueError('\u00e9\U0001f600')")
    assert "ValueError: \u00e9\U0001f600" in said.splitlines()[0]
    hostile.tried("locales", said.splitlines()[0])


@pytest.mark.parametrize("version", ["2.7.18", "3.6.9"])
def test_a_python_that_is_too_old_is_told(tmp_path: Path, version: str) -> None:
    """Which ends as those do: with a SyntaxError in our own file, and no answer."""
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && echo "Python {version}" >&2 && exit\necho "SyntaxError: x" >&2; exit 1\n'
    )
    python.chmod(0o755)
    with pytest.raises(Outside) as caught:
        user_code.read(["a:B"], Settings(project=tmp_path, python=str(python)), IMAGE)
    short = version.rpartition(".")[0]
    assert str(caught.value) == (
        f"the project's Python {python} is {short}, and loading datasets needs 3.7 or newer. "
        "Set python in [tool.staging-cronjobs] to another one"
    )


def test_the_loader_is_written_for_the_oldest_python() -> None:
    ast.parse(Path(user_code_loader.__file__).read_text(encoding="utf-8"), feature_version=user_code.OLDEST_PYTHON)


def test_a_catalogue_file_in_the_settings_lies_in_the_project_not_in_the_current_folder(tmp_path: Path) -> None:
    settings = Settings(project=tmp_path, datasets=("weather.datasets:DATASETS", "data/catalogue.json", "-"))
    assert user_code.in_project(settings) == ["weather.datasets:DATASETS", f"{tmp_path}/data/catalogue.json", "-"]

"""Nothing changes between the dataset's objects and what Kubernetes reads: values are written, rendered, read back."""

import itertools
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from rendering import Object, Reader, RenderError, hand_made, pod, render_chart, spec, without_ours
from repositories import make_repository
from staging_cronjobs.external import user_code
from staging_cronjobs.model import values
from staging_cronjobs.model.helm_limits import EXACT, unwritable
from staging_cronjobs.model.settings import load
from staging_cronjobs.model.values import Record, Values

ODD = [
    *(
        "",
        " ",
        "  a  ",
        "~",
        "null",
        "Null",
        "true",
        "True",
        "y",
        "Y",
        "n",
        "no",
        "on",
        "off",
        "yes",
        "N",
        "NULL",
        "Off",
        "x.y/z-1",
        "a_b",
        "e3",
        "Inf",
    ),
    *(
        "1e3",
        "1234567e8",
        "1_000",
        "08",
        "0o17",
        "0x1f",
        "0b1",
        "1.10",
        "-0",
        "+1",
        ".5",
        "5.",
        ".inf",
        "-.Inf",
        ".nan",
    ),
    *(
        "12:30:00",
        "2024-05-01",
        "2024-05-01T00:00:00Z",
        "=",
        "<<",
        "!!binary x",
        "!x",
        "&a",
        "*a",
        "%x",
        "@x",
        "`x",
        "|",
    ),
    *(
        ">",
        "#x",
        "a #b",
        "a: b",
        "a:",
        "- a",
        "-",
        "---",
        "...",
        "[a",
        "{a",
        "}",
        ",",
        "?",
        "? a",
        "'",
        '"',
        "''",
        "\\n",
    ),
    *("{{ x }}", "{{ .Release.Name }}", "{{", "}}", "{{/* x */}}", "$(CRON_JOB_NAME)", "${x}", "<&>"),
    *("\n", "a\n", "\na", "a\nb", " a\n b", "a\n\n", "\n\n", "a \n", "\ta\n\tb", "a\tb", "\t", "\r", "a\rb", "a\r\nb"),
    *(
        "#a\n#b",
        "- a\n- b",
        "a: b\nc: d",
        "  indented\nless",
        "---\na",
        "...\n",
        "a\u2028b\u2029",
        "a\n\u2028",
        "a \u2029",
        "\ufeffa",
        "a\ufeff",
    ),
    *(
        "\0",
        "\x01\n",
        "\x1b[0m",
        "\xa0",
        "\xad",
        "\u200b",
        "é",
        "日本語",
        "\U0001f600",
        "\U0010ffff",
        "a" * 200,
        "a " * 200,
    ),
]

# What Python lets through, with a weight on what YAML writers find hard.
passing = st.characters(exclude_categories=["Cs"]).filter(lambda char: not list(unwritable(char)))
hard = st.sampled_from(" \t\n\r-:#'\"\\{}[]|>&*!%@`,?~0e.\0\u2028\ufeff")
strings = st.text(st.one_of(hard, hard, passing), max_size=12) | st.sampled_from(ODD)


def carried(texts: list[str]) -> Values:
    """Values that hold every text in each kind of place."""
    container = {
        "name": "worker",
        "command": texts,
        "args": [f"--x={text}" for text in texts],
        "env": [{"name": f"E{number}", "value": text} for number, text in enumerate(texts)],
    }
    found = hand_made(annotations={f"a{n}": text for n, text in enumerate(texts)}, spec=spec(containers=[container]))
    found["jobs"]["update"]["spec"]["jobTemplate"]["spec"]["free"] = keyed(texts)
    return Values.model_validate(found)


def keyed(texts: list[str]) -> dict[str, str]:
    return {text: text for text in texts if text != "<<"}  # Python refuses that key


def check_carried(helm: Path, reader: Reader, texts: list[str]) -> None:
    (found,) = reader.objects(render_chart(helm, values.dump(carried(texts))))
    container = pod(found)["containers"][0]
    assert container["command"] == texts
    assert container["args"] == [f"--x={text}" for text in texts]
    assert [entry.get("value") for entry in container["env"][:-1]] == texts
    assert [found["metadata"]["annotations"][f"a{number}"] for number in range(len(texts))] == texts
    assert found["spec"]["jobTemplate"]["spec"]["free"] == keyed(texts)


def test_texts_that_yaml_readers_take_for_something_else_survive(helm: Path, reader: Reader) -> None:
    check_carried(helm, reader, ODD)


@settings(
    max_examples=15,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(texts=st.lists(strings, min_size=20, max_size=40))
def test_every_text_that_python_lets_through_survives(helm: Path, reader: Reader, texts: list[str]) -> None:
    check_carried(helm, reader, texts)


LOST = "U+007F to U+009F, U+FFFE or U+FFFF"
CHARACTERS = [chr(code) for code in (*range(0x3000), 0xD7FF, 0xE000, 0xFEFF, 0xFFFD, 0xFFFE, 0xFFFF, 0x1F600, 0x10FFFF)]
PROBE = """
{{- range $number, $text := .Values.texts }}
---
{{- $metadata := dict "name" (toString $number) }}
{{ toYaml (dict "apiVersion" "v1" "kind" "ConfigMap" "metadata" $metadata "text" $text "to" "the end") }}
{{- end }}
"""


def carried_by(helm: Path, reader: Reader, folder: Path, texts: list[str]) -> list[str | None]:
    """What a template that writes each text as it is comes to."""
    folder.joinpath("templates").mkdir()
    folder.joinpath("Chart.yaml").write_text("apiVersion: v2\nname: probe\nversion: 0.1.0\n")
    folder.joinpath("templates", "probe.yaml").write_text(PROBE)
    objects = reader.objects(render_chart(helm, {"texts": texts}, chart=folder))
    read = {int(found["metadata"]["name"]): found["text"] for found in objects}
    return [read.get(number) for number in range(len(texts))]


def test_the_characters_that_python_refuses_are_those_that_helm_loses(
    helm: Path, reader: Reader, tmp_path: Path
) -> None:
    texts = [f"a{char}b {char}" for char in CHARACTERS]
    read = carried_by(helm, reader, tmp_path, texts)
    assert len(CHARACTERS) - read.count(None) > 12_000
    lost = {char for char, text, found in zip(CHARACTERS, texts, read, strict=True) if text != found}
    assert lost == {char for char in CHARACTERS if list(unwritable(char))}


def test_blanks_and_ends_of_lines_are_carried_wherever_they_stand(helm: Path, reader: Reader, tmp_path: Path) -> None:
    found = itertools.chain.from_iterable(itertools.product("a# \n\t\r\u2028", repeat=length) for length in range(1, 5))
    texts = ["".join(text) for text in found]
    assert carried_by(helm, reader, tmp_path, texts) == texts


def test_a_character_that_yaml_cannot_hold_fails_instead_of_emptying_a_spec(helm: Path) -> None:
    for char in "\x7f\x85\x9f\ufffe":
        odd, shown = f"a{char}b", json.dumps(f"a{char}b").replace("\\u007f", "\\x7f")
        values = hand_made("archive", "update", annotations={"why": odd}, labels={odd: "x"})
        values["jobs"]["update"]["spec"] = spec(containers=[{"name": "worker", "command": ["a\n", odd]}])
        values["record"]["stores"] = ["s3://a", odd]
        with pytest.raises(RenderError) as caught:
            render_chart(helm, values)
        lines = [line for line in caught.value.stderr.splitlines() if line.startswith("- ")]
        what = f"holds a character that YAML cannot carry ({LOST}): remove it"
        said = [line.partition(" holds ")[0] for line in unwritable(values) if "has the key" not in line]
        assert sorted(said) == sorted(line[2:].partition(" holds ")[0] for line in lines if line.endswith(what))
        assert lines == [
            *(
                f"- jobs.{key}.{line}"
                for key in ("archive", "update")
                for line in (
                    f"annotations.why {what}",
                    f"labels has the key {shown}, which YAML cannot carry: rename it",
                    f"spec.jobTemplate.spec.template.spec.containers[0].command[1] {what}",
                )
                if (key, line[0]) != ("archive", "s")
            ),
            f"- record.stores[1] {what}",
        ]


def test_python_and_the_chart_refuse_a_key_that_yaml_takes_for_a_merge(helm: Path) -> None:
    values = hand_made(spec=spec(nodeSelector={"<<": "x"}))
    place, rest = "jobs.update.spec.jobTemplate.spec.template.spec.nodeSelector", "which YAML cannot carry: rename it"
    assert list(unwritable(values)) == [f"{place} has the key '<<', {rest}"]
    with pytest.raises(RenderError) as caught:
        render_chart(helm, values)
    assert f'- {place} has the key "<<", {rest}\n' in caught.value.stderr


def test_numbers_keep_their_kind_and_value(helm: Path, reader: Reader) -> None:
    numbers = [0, 1, -1, 1000, 1_000_000, 10**9, 2**31 - 1, 2**31, EXACT, -EXACT, 0.5, 1e-9, True, False, [], {}]
    found = hand_made()
    found["jobs"]["update"]["spec"]["jobTemplate"]["spec"]["free"] = numbers
    pod(found["jobs"]["update"])["containers"][0]["free"] = numbers
    (read,) = reader.objects(render_chart(helm, values.dump(Values.model_validate(found))))
    for shown in (read["spec"]["jobTemplate"]["spec"]["free"], pod(read)["containers"][0]["free"]):
        assert [(type(n), n) for n in shown] == [(type(n), n) for n in numbers]


def test_a_number_that_helm_may_have_changed_is_refused(helm: Path) -> None:
    values = hand_made(spec=spec(free=[EXACT, EXACT + 1, EXACT + 2, -EXACT - 1]))
    with pytest.raises(RenderError) as caught:
        render_chart(helm, values)
    lines = [line.removeprefix("- ") for line in caught.value.stderr.splitlines() if line.startswith("- ")]
    read = json.loads(json.dumps(values), parse_int=lambda text: int(float(text)))  # as Helm reads: …993 is …992
    assert lines == list(unwritable(read)) and len(lines) == 3


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> list[Values]:
    """Every dataset of the example repository that has jobs."""
    project = make_repository(tmp_path_factory.mktemp("weather")).path
    settings = load(project, {})
    found = []
    for dataset in user_code.read(settings.datasets, settings, "example.registry/weather:1"):
        if dataset.version and dataset.cronjobs:
            record = Record(
                repository="dynamical-demo/weather",
                dataset_id=dataset.dataset_id,
                version=dataset.version,
                branch=f"stage/{dataset.dataset_id}/v{dataset.version}",
                commit="1234567e8",
                image="example.registry/weather:1",
                template_path="t",
                stores=dataset.stores,
            )
            prefix = settings.job_prefixes.get(dataset.dataset_id, "")
            found.append(values.build(dataset, record, prefix=prefix))
    return found


def test_every_supported_helm_renders_the_same(
    staged: list[Values], reader: Reader, helm_oldest: Path, helm_3: Path, helm_4: Path
) -> None:
    assert len(staged) == 9

    def all_of_them(helm: Path) -> list[Object]:
        texts = [render_chart(helm, values.dump(one), release=one.record.staged_version.release) for one in staged]
        return reader.objects("\n".join(texts))

    oldest, three, four = (all_of_them(helm) for helm in (helm_oldest, helm_3, helm_4))
    assert len(oldest) == sum(len(one.jobs) for one in staged) == 20
    assert oldest == three == four


def test_the_example_jobs_differ_from_production_only_where_they_must(
    staged: list[Values], reader: Reader, helm: Path
) -> None:
    for one in staged:
        found = reader.objects(render_chart(helm, values.dump(one), release=one.record.staged_version.release))
        jobs = {job.name: job for job in one.jobs.values()}
        assert {o["metadata"]["name"] for o in found} == jobs.keys()
        for cronjob in found:
            job = jobs[cronjob["metadata"]["name"]]
            assert without_ours(cronjob["spec"]) == without_ours({"suspend": False} | job.spec)
            assert cronjob["metadata"]["labels"].items() >= job.labels.items()
            assert cronjob["metadata"]["annotations"].items() >= job.annotations.items()

"""How programs are started, watched and ended; every program here is a real one."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from hostile import Hostile
from staging_cronjobs.errors import Outside, Usage
from staging_cronjobs.external import shell

PRINT = "import os; print('\\n'.join(f'{k}={v}' for k, v in os.environ.items()))"


def python(code: str, *args: str, **options: object) -> shell.Result:
    return shell.run(sys.executable, "-c", code, *args, **options)  # ty: ignore[invalid-argument-type]


def environment_of_a_child(**options: object) -> dict[str, str]:
    return dict(line.split("=", 1) for line in python(PRINT, **options).stdout.splitlines() if "=" in line)


def alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_output_error_and_exit_code_are_kept_apart() -> None:
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    assert python(code, check=False) == shell.Result("out\n", "err\n", 3)


def test_children_get_neither_secrets_nor_another_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENTRY_AUTH_TOKEN", "sntryu_secret")
    monkeypatch.setenv("SENTRY_ORG", "weather")
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR"):
        monkeypatch.setenv(name, "/elsewhere")
    for name in ("GIT_ASKPASS", "GIT_SSH_COMMAND", "GIT_CONFIG_GLOBAL", "KUBECONFIG"):
        monkeypatch.setenv(name, "/kept")
    found = environment_of_a_child()
    assert "sntryu_secret" not in found.values()
    assert "/elsewhere" not in found.values()
    assert [found[name] for name in ("GIT_ASKPASS", "GIT_SSH_COMMAND", "GIT_CONFIG_GLOBAL", "KUBECONFIG")] == (
        ["/kept"] * 4
    )
    assert (found["SENTRY_ORG"], found["GIT_TERMINAL_PROMPT"]) == ("weather", "0")
    assert os.environ["SENTRY_AUTH_TOKEN"] == "sntryu_secret"


def test_every_variable_that_git_calls_local_is_stripped(monkeypatch: pytest.MonkeyPatch) -> None:
    told = subprocess.run(["git", "rev-parse", "--local-env-vars"], capture_output=True, text=True, check=True)
    kept = {"GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT"}  # `git -c`: settings, such as credentials in CI
    local = set(told.stdout.split()) - kept
    assert len(local) > 10
    for name in local:
        monkeypatch.setenv(name, "/elsewhere")
    assert "/elsewhere" not in environment_of_a_child().values()


def test_nothing_leads_helm_alone_to_another_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {"HELM_DRIVER": "configmap", "HELM_BURST_LIMIT": "200", "HELM_QPS": "9", "HELM_CACHE_HOME": "/kept"}
    cluster = ("APISERVER", "ASGROUPS", "ASUSER", "CAFILE", "CONTEXT", "INSECURE_SKIP_TLS_VERIFY", "TLS_SERVER_NAME")
    for name in (*(f"HELM_KUBE{name}" for name in (*cluster, "TOKEN")), "HELM_NAMESPACE", "HELM_KUBE_OF_TOMORROW"):
        monkeypatch.setenv(name, "/elsewhere")
    for name in ("HELM_DEBUG", "HELM_COLOR", "HELM_MAX_HISTORY", "HELM_PLUGINS"):
        monkeypatch.setenv(name, "/elsewhere")
    for name, value in kept.items():
        monkeypatch.setenv(name, value)
    found = environment_of_a_child()
    assert "/elsewhere" not in found.values()
    assert kept.items() <= found.items()


def test_kubectl_takes_no_defaults_from_a_kuberc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERC", "/elsewhere")
    monkeypatch.setenv("KUBECTL_KUBERC", "true")
    found = environment_of_a_child()
    assert (found["KUBERC"], found["KUBECTL_KUBERC"]) == ("off", "false")


def test_go_programs_tidy_up_less_often_unless_the_user_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOGC", raising=False)
    assert environment_of_a_child()["GOGC"] == "400"
    monkeypatch.setenv("GOGC", "50")
    assert environment_of_a_child()["GOGC"] == "50"


def test_variables_that_a_call_adds_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLOUR", "red")
    found = environment_of_a_child(env={"COLOUR": "blue", "SENTRY_AUTH_TOKEN": "given"})
    assert (found["COLOUR"], found["SENTRY_AUTH_TOKEN"]) == ("blue", "given")


def test_a_missing_program_is_one_sentence() -> None:
    with pytest.raises(Outside) as caught:
        shell.run("no-such-program", "--version")
    assert str(caught.value) == ("no-such-program is not installed, or not on PATH. Install it and run this again")


@pytest.mark.parametrize("argument", [None, False, 5, b"x", Path("x")])
def test_arguments_that_are_no_strings_are_a_bug(argument: object) -> None:
    with pytest.raises(TypeError, match="arguments must be strings"):
        shell.run("echo", "a", argument)  # ty: ignore[invalid-argument-type]


def test_arguments_arrive_unchanged() -> None:
    args = ["", " ", "$(id)", "`id`", "a;b|c&d", "*", "--x=y", "-", "é\U0001f600", "line\nline", '"', "'", "\\"]
    assert python("import sys; print(repr(sys.argv[1:]))", *args).stdout.strip() == repr(args)


def test_a_program_finds_no_terminal_and_the_given_input_alone() -> None:
    code = "import sys; print([f.isatty() for f in (sys.stdin, sys.stdout, sys.stderr)], repr(sys.stdin.read()))"
    assert python(code).stdout == "[False, False, False] ''\n"
    assert python(code, stdin="a\né").stdout == "[False, False, False] 'a\\né'\n"


def test_large_input_and_output_pass_whole() -> None:
    text = "".join(f"{number:07d}\n" for number in range(200_000))  # 1.6 MB each way
    result = shell.run("cat", stdin=text)
    assert result.stdout == text


def test_much_on_standard_error_holds_nobody_up() -> None:
    result = python("import sys; sys.stderr.write('x' * 5_000_000); print('done')")
    assert (result.stdout, len(result.stderr)) == ("done\n", 5_000_000)


def test_a_program_that_reads_no_input_is_no_error() -> None:
    assert python("print('done')", stdin="x" * 5_000_000).stdout == "done\n"


def test_output_that_is_not_text_is_replaced_and_not_an_error() -> None:
    result = python(r"import sys; sys.stdout.buffer.write(b'a\xffb'); sys.stderr.buffer.write(b'c\xfed')")
    assert (result.stdout, result.stderr) == ("a\ufffdb", "c\ufffdd")


TEXT = "\u00e9\u20ac\u3042\U0001f600"
ECHO = """
import os, sys
data = sys.stdin.buffer.read()
for stream in (sys.stdout.buffer, sys.stderr.buffer):
    stream.write(data + os.fsencode(sys.argv[1]))
"""
# As in a process whose locale has that encoding; the locale itself need not be on this machine.
IN_A_LOCALE = """
import locale, sys
encoding, echo, text = sys.argv[1], sys.argv[2], ascii_text
if encoding:
    locale.getpreferredencoding = lambda *_: encoding
from staging_cronjobs.external import shell
result = shell.run(sys.executable, "-c", echo, text, stdin=text, timeout=20)
assert result.stdout == result.stderr == text * 2, ascii(result)
print(shell.run(sys.executable, "-c", "print(%s)" % ascii(text)).stdout == text + "\\n")
"""


@pytest.mark.parametrize("encoding", ["", "ascii", "latin-1", "gbk", "euc_jp", "cp1252", "utf-16"])
@pytest.mark.parametrize("lang", ["C", "POSIX", "C.UTF-8", "ja_JP.eucJP", "no such locale"])
def test_text_passes_whatever_the_locale(encoding: str, lang: str, hostile: Hostile) -> None:
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG", "PYTHON"))}
    locale = {"LC_ALL": lang, "LANG": lang, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    code = IN_A_LOCALE.replace("ascii_text", ascii(TEXT))
    done = subprocess.run(
        [sys.executable, "-c", code, encoding, ECHO], env=plain | locale, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("True\n", "")
    hostile.tried("locales", done.stdout + done.stderr)


def test_bytes_of_a_path_that_the_locale_does_not_know_arrive_unchanged() -> None:
    path = "/\u00e9".encode().decode("ascii", "surrogateescape")  # what Python makes of it where the locale is C
    code = "import os, sys; print(os.fsencode(sys.argv[1]))"
    assert python(code, path).stdout == "b'/\\xc3\\xa9'\n"


@pytest.mark.parametrize("argument", ["a\udcff", "\ud800"])
def test_an_argument_that_is_not_utf8_is_one_sentence(argument: str, hostile: Hostile) -> None:
    with pytest.raises(Usage) as caught:
        shell.run("echo", argument)
    assert str(caught.value) == f"echo takes only UTF-8, and {argument!a} is not. Use another name"
    hostile.tried("locales", str(caught.value))


@pytest.mark.parametrize(
    ("argument", "why"), [("x" * 3_000_000, "Argument list too long"), ("a\0b", "embedded null byte")]
)
def test_a_program_that_cannot_be_started_is_one_sentence(argument: str, why: str, hostile: Hostile) -> None:
    with pytest.raises(Outside) as caught:
        shell.run("echo", argument)
    assert str(caught.value) == f"echo could not be started: {why}"
    hostile.tried("settings of a branch", str(caught.value))


def test_a_program_that_is_no_program_is_one_sentence(tmp_path: Path) -> None:
    program = tmp_path / "helm"
    program.write_text("neither script nor binary")
    program.chmod(0o755)
    with pytest.raises(Outside, match=r"^helm could not be started: Exec format error$"):
        shell.run(program)


def test_a_failing_program_is_quoted_on_one_line() -> None:
    code = "import sys; print('on stdout'); print('first\\n\\n   second', file=sys.stderr); sys.exit(2)"
    with pytest.raises(Outside) as caught:
        python(code)
    assert str(caught.value) == f"{Path(sys.executable).name} failed: first second"


@pytest.mark.parametrize(
    ("code", "complaint"),
    [("print('only here')", "only here"), ("", "exit code 7")],
)
def test_a_program_that_says_nothing_on_stderr_is_quoted_all_the_same(code: str, complaint: str) -> None:
    assert python(f"{code}\nimport sys; sys.exit(7)", check=False).complaint == complaint


def test_a_program_that_a_signal_ended_has_a_negative_code() -> None:
    assert python("import os; os.kill(os.getpid(), 9)", check=False).code == -9


def test_a_program_runs_in_the_given_folder(tmp_path: Path) -> None:
    assert python("import os; print(os.getcwd())", cwd=tmp_path).stdout.strip() == str(tmp_path)


def test_output_can_go_to_a_file(tmp_path: Path) -> None:
    file = tmp_path / "noise.txt"
    result = python("import sys; print('out', flush=True); print('err', file=sys.stderr)", output=file)
    assert (result.stdout, result.stderr, result.code) == ("", "", 0)
    assert file.read_text() == "out\nerr\n"


def test_a_grandchild_that_keeps_the_output_open_holds_nobody_up(tmp_path: Path) -> None:
    code = "import subprocess; print(subprocess.Popen(['sleep', '30']).pid)"
    start = time.monotonic()
    python(code, output=tmp_path / "noise.txt")
    assert time.monotonic() - start < 10
    os.kill(int((tmp_path / "noise.txt").read_text()), signal.SIGKILL)


IGNORING = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open(sys.argv[1], "w").write(str(os.getpid()))
time.sleep(60)
"""


def test_a_program_that_takes_too_long_is_ended_even_if_it_ignores_sigterm(tmp_path: Path) -> None:
    file, start = tmp_path / "pid", time.monotonic()
    with pytest.raises(Outside, match=f"{Path(sys.executable).name} .*took longer than 1 s and was stopped"):
        python(IGNORING, str(file), timeout=1)
    assert time.monotonic() - start < 10
    assert not alive(int(file.read_text()))


OBEYING = """
import os, signal, sys, time
def end(*_):
    open(sys.argv[1] + ".ended", "w").close()
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
open(sys.argv[1], "w").write(str(os.getpid()))
time.sleep(60)
"""


def test_an_interrupt_ends_the_program_kindly_and_wins(tmp_path: Path) -> None:
    """As ^C does: helm must have the time to mark its release failed."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        if file.exists() and file.read_text():
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise KeyboardInterrupt

    file = tmp_path / "pid"
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
        with pytest.raises(KeyboardInterrupt):
            python(OBEYING, str(file))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert Path(f"{file}.ended").exists()
    assert not alive(int(file.read_text()))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_while_a_program_starts_ends_it_too(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sh

    start: Any = sh.Command.__call__
    pids = []

    def interrupted(self: sh.Command, *args: object, **options: object) -> object:
        process = start(self, *args, **options)
        pids.append(process.pid)
        os.kill(os.getpid(), number)  # the process exists, and nobody has its handle yet
        return process

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sh.Command, "__call__", interrupted)
    before = signal.signal(number, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            python("import time; time.sleep(60)")
        assert signal.getsignal(number) is interrupt
    finally:
        signal.signal(number, before)
    assert not alive(pids[0])


def test_many_programs_run_side_by_side_and_answer_in_order() -> None:
    code = (
        "import sys, time; time.sleep(float(sys.argv[1])); print(sys.argv[1]); sys.exit(int(float(sys.argv[1]) * 10))"
    )
    pauses = ["0.9", "0.1", "0.3"]
    start = time.monotonic()
    results = shell.together([partial(python, code, pause, check=False) for pause in pauses])
    assert [(r.stdout.strip(), r.code) for r in results] == [("0.9", 9), ("0.1", 1), ("0.3", 3)]
    assert time.monotonic() - start < 5


def test_no_more_programs_run_at_once_than_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell, "AT_ONCE", 2)
    code = (
        "import os, sys, time; mark = os.path.join(sys.argv[1], str(os.getpid())); open(mark, 'w').close(); "
        "time.sleep(0.2); print(len(os.listdir(sys.argv[1]))); os.remove(mark)"
    )
    results = shell.together([partial(python, code, str(tmp_path), str(number)) for number in range(5)])
    assert max(int(r.stdout) for r in results) == 2


WAITING = """
import os, sys, time
open(sys.argv[1], "w").close()
for _ in range(600):
    if os.path.exists(sys.argv[2]):
        sys.exit(0)
    time.sleep(0.05)
sys.exit(1)
"""


def test_questions_begun_ahead_are_asked_side_by_side(tmp_path: Path) -> None:
    files = [str(tmp_path / name) for name in "ab"]
    with shell.ahead():
        answer = shell.begin(lambda: python(WAITING, *files))
        python(WAITING, *reversed(files))  # each waits for the other
        assert answer().code == 0


def test_a_question_begun_ahead_is_asked_once(tmp_path: Path) -> None:
    code = "import sys; open(sys.argv[1], 'a').write('x')"  # prints nothing
    file = tmp_path / "asked"
    with shell.ahead():
        for _ in range(2):
            shell.begin(lambda: python(code, str(file)))
        python(code, str(file))
        assert file.read_text() == "x"
        python(code, str(file))  # the answer is used up: this one is asked anew
    assert file.read_text() == "xx"


def test_an_error_of_a_question_begun_ahead_is_told_when_its_answer_is_wanted() -> None:
    def question() -> shell.Result:
        raise Outside("no such thing")

    with shell.ahead():
        answer, failing = shell.begin(question), shell.begin(lambda: python("import sys; sys.exit(3)"))
        with pytest.raises(Outside, match="no such thing"):
            answer()
        with pytest.raises(Outside, match="exit code 3"):
            failing()


def test_a_question_that_needs_no_program_is_asked_once() -> None:
    asked = []
    with shell.ahead():
        answer = shell.begin(lambda: asked.append(1) or len(asked))
        assert [answer(), answer(), asked] == [1, 1, [1]]


READING = "import sys; open(sys.argv[1], 'a').write('started'); print(sys.stdin.read())"


def test_a_program_that_is_held_starts_at_once_and_gets_its_input_when_the_question_is_asked(tmp_path: Path) -> None:
    file = tmp_path / "started"
    with shell.ahead():
        for _ in range(2):
            shell.begin(lambda: python(READING, str(file), stdin="not known yet"), held=True)
        while not file.exists():
            pass
        answer = shell.begin(lambda: python(READING, str(file), stdin="known"))
        assert answer().stdout == "known\n"
        assert file.read_text() == "started"
        assert python(READING, str(file), stdin="another").stdout == "another\n"


def test_a_program_that_is_held_for_nothing_gets_no_input_and_no_end_of_it(tmp_path: Path) -> None:
    file = tmp_path / "read"
    code = "import sys; print(end='', flush=True); sys.stdin.read(); open(sys.argv[1], 'w').close()"
    with shell.ahead():
        shell.begin(lambda: python(code, str(file)), held=True)
    assert not file.exists()


def test_a_program_that_nobody_waited_for_is_stopped(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    with pytest.raises(KeyError), shell.ahead():
        shell.begin(lambda: python(IGNORING, str(file)))
        while not (file.exists() and file.read_text()):
            pass
        raise KeyError
    assert not alive(int(file.read_text()))

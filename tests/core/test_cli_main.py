"""The command: verbs, exit codes, and what is said when something goes wrong."""

import os
import subprocess
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tunesmith import DataError, RecipeError, TunesmithError, __version__
from tunesmith.cli import main as command
from tunesmith.cli.main import HELP, TRAINER_VERBS, main

Run = Callable[[str, Sequence[str]], int]


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> Callable[[Run], None]:
    """Puts a function in the place of what trains, so that no test here loads torch."""

    def put(run: Run) -> None:
        module = types.ModuleType("tunesmith.cli.trainer_cli")
        module.run = run  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "tunesmith.cli.trainer_cli", module)

    return put


def raising(error: BaseException) -> Run:
    def run(verb: str, words: Sequence[str]) -> int:
        raise error

    return run


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_without_a_verb_the_command_explains_itself(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    assert capsys.readouterr().out == HELP


def test_the_help_page_fits_a_terminal_and_names_every_verb() -> None:
    assert max(map(len, HELP.splitlines())) <= 80
    for verb in command.VERBS:
        assert f"\n  {verb} " in HELP
    for code in range(4):
        assert f"\n  {code}  " in HELP


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"tunesmith {__version__}\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["fot"], "fot: no such verb; did you mean fit?"),
        (["Plugins"], "Plugins: no such verb; did you mean plugins?"),
        (["xyzzy"], "xyzzy: no such verb\nverbs: preview"),
        (["--config", "a.yaml", "test"], "the verb comes first: lightning-cli test --config ..."),
        (["plugins", "lst"], "lightning-cli plugins lst: no such verb; did you mean list?"),
        (["plugins", "list", "--jsn"], "lightning-cli plugins list: --jsn is not an option; did you mean --json?"),
        (["plugins", "list", "more"], "'more' is one argument too many"),
        (["plugins", "--json"], "--json is not an option"),
        (["plugins", "describe"], "lightning-cli plugins describe: name one plugin, or all of them with --all"),
        (["recipes", "lokc"], "lightning-cli recipes lokc: no such verb"),
    ],
)
def test_trap_40_a_mistyped_command_line_is_the_users_mistake_and_gets_the_nearest_match(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    captured = capsys.readouterr()
    assert expected in captured.err
    assert captured.out == ""
    assert len(captured.err.splitlines()) <= 3


@pytest.mark.parametrize("verb", TRAINER_VERBS)
def test_verbs_that_need_a_recipe_go_on_with_all_their_words_and_their_exit_code(
    verb: str, trainer: Callable[[Run], None]
) -> None:
    seen = []
    trainer(lambda v, words: seen.append((v, list(words))) or 3)  # type: ignore[func-returns-value]
    assert main([verb, "--config", "a.yaml", "--help"]) == 3
    assert seen == [(verb, ["--config", "a.yaml", "--help"])]


@pytest.mark.parametrize(
    ("error", "code"), [(RecipeError("key: wrong"), 2), (DataError("row: wrong"), 2), (TunesmithError("our loss"), 1)]
)
def test_what_users_can_mend_is_said_without_a_traceback(
    error: TunesmithError, code: int, trainer: Callable[[Run], None], capsys: pytest.CaptureFixture[str]
) -> None:
    trainer(raising(error))
    assert main(["fit", "--config", "a.yaml"]) == code
    assert capsys.readouterr().err == f"{error}\n"


def test_a_terminal_obeys_nothing_that_an_error_quotes(
    trainer: Callable[[Run], None], capsys: pytest.CaptureFixture[str]
) -> None:
    trainer(raising(RecipeError("evaluators.\x1b[2J\x9b2K\x7f: ü\tis wrong\nmend it")))
    assert main(["fit", "--config", "a.yaml"]) == 2
    assert capsys.readouterr().err == "evaluators.\\x1b[2J\\x9b2K\\x7f: ü\tis wrong\nmend it\n"


def test_what_users_cannot_mend_is_called_our_fault(
    trainer: Callable[[Run], None], capsys: pytest.CaptureFixture[str]
) -> None:
    trainer(raising(KeyError("surprise")))
    assert main(["fit", "--config", "a b.yaml"]) == 1
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert "this is our fault, not yours: KeyError in `lightning-cli fit --config 'a b.yaml'`" in said


def test_an_interrupted_fit_says_how_to_go_on(
    trainer: Callable[[Run], None], capsys: pytest.CaptureFixture[str]
) -> None:
    trainer(raising(KeyboardInterrupt()))
    assert main(["fit", "--config", "a.yaml"]) == 130
    assert "lightning-cli fit --config a.yaml --ckpt_path=last\n" in capsys.readouterr().err
    assert main(["fit", "--ckpt_path", "last"]) == 130
    assert capsys.readouterr().err.count("--ckpt_path") == 1
    assert main(["test", "--config", "a.yaml"]) == 130
    assert "--ckpt_path" not in capsys.readouterr().err


@pytest.mark.parametrize(("asked", "code"), [(None, 0), (0, 0), (2, 2), ("a last word", 1)])
def test_a_librarys_exit_is_heeded(asked: int | str | None, code: int, trainer: Callable[[Run], None]) -> None:
    trainer(raising(SystemExit(asked)))
    assert main(["fit"]) == code


def test_thread_pools_are_told_to_wait_quietly_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
    main(["--version"])
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
    assert os.environ["TOKENIZERS_PARALLELISM"] == "true"


def test_a_reader_who_leaves_causes_no_complaint() -> None:
    script = "import sys; from tunesmith.cli.main import main; sys.exit(main(['plugins', 'list', '--json']))"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode == 141
    assert said == b""


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["plugins", "list"], ["recipes", "ls"]])
def test_verbs_that_train_nothing_load_no_torch(words: list[str], tmp_path: Path) -> None:
    code = (
        "import sys; from tunesmith.cli.main import main; code = main(sys.argv[1:]); "
        "loaded = [m for m in ('torch', 'lightning', 'transformers', 'jsonargparse') if m in sys.modules]; "
        "sys.stderr.write(' '.join(loaded)); sys.exit(code)"
    )
    ran = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout

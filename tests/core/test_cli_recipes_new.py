"""What `recipes new` writes, `recipes check` finds good; of what it cannot use it says which column, and why."""

import contextlib
import gzip
import io
import json
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tunesmith import __version__
from tunesmith.cli.main import main
from tunesmith.plugins.catalog import Catalog, Entry
from tunesmith.recipe.compose import compose
from tunesmith.recipe.requires import check_requires
from tunesmith.recipe.schema import check
from tunesmith.recipe.write_yaml import write_yaml

ASK, ANSWER = {"role": "user", "content": "a b"}, {"role": "assistant", "content": "c d"}
HUMAN, GPT = {"from": "human", "value": "a b"}, {"from": "gpt", "value": "c d"}
PARTS = {"role": "user", "content": [{"type": "text", "text": "a "}, {"type": "text", "text": "b"}]}
IMAGE = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}
LONG = "a very long name " * 300


def lines(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def named(prompt: str, completion: str) -> tuple[str, ...]:
    return ("--prompt-column", prompt, "--completion-column", completion)


# File, content, and further words of the command line.
GOOD: list[tuple[str, str | bytes, tuple[str, ...]]] = [
    ("plain.csv", "question,answer\na b,c d\n", ()),
    ("mark.csv", "\ufeffquestion;answer\na b;c, d\n", ()),
    ("index.csv", ",question,answer\n0,a b,c d\n1,e f,g h\n", ()),
    ("plain.tsv", 'question\tanswer\n"a\nb"\tc d\n', ()),
    ("plain.jsonl", lines({"prompt": "a b", "completion": "c d"}), ()),
    ("mark.jsonl", "\ufeff" + lines({"prompt": "a b", "completion": "c d"}), ()),
    ("packed.jsonl.gz", gzip.compress(lines({"prompt": "a b", "completion": "c d"}).encode()), ()),
    ("list.json", json.dumps([{"question": "a b", "answer": 4}, {"question": "c d", "answer": 5.5}]), ()),
    ("keys.json", json.dumps({"one": {"question": "a b", "answer": "c"}, "two": {"question": "d", "answer": "e"}}), ()),
    ("plain.txt", "a b\n\nc d\n", ()),
    ("nulls.jsonl", lines({"question": "a b", "answer": "c d", "note": None, "n": 1, "b": True, "m": {"x": [1]}}), ()),
    (
        "seldom.jsonl",
        lines({"question": "a", "answer": ""}, *({"question": "a", "answer": "b"} for _ in range(30))),
        (),
    ),
    ("alpaca.jsonl", lines({"instruction": "a b", "input": "", "output": "c d"}), ()),
    ("chat.jsonl", lines({"messages": [ASK, ANSWER]}), ()),
    ("parts.jsonl", lines({"messages": [PARTS, ANSWER]}), ()),
    ("call.jsonl", lines({"log": [ASK, {"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]}]}), ()),
    ("other.jsonl", lines({"chat: log": [ASK, ANSWER], "title": "x", "summary": "y"}), ()),
    ("share.jsonl", lines({"conversations": [HUMAN, GPT], "system": None}), ()),
    (
        "table.csv",
        'id,dialog\n1,"[{""from"": ""human"", ""value"": ""a""}, {""from"": ""gpt"", ""value"": ""b""}]"\n',
        (),
    ),
    ("lists.jsonl", lines({"prompt": [ASK], "completion": [ANSWER]}), ()),
    (
        "no_chat.jsonl",
        lines({"messages": "hello there", "question": "a b", "answer": "c d"}),
        named("question", "answer"),
    ),
    ("people.jsonl", lines({"question": "a b", "answer": "c d", "people": [{"role": "nurse", "name": "x"}]}), ()),
    ("map.jsonl", lines({"prompt": {"a": 1}, "question": "a b", "answer": "c d"}), ()),
    ("pairs.jsonl", lines({"prompt": "a b", "chosen": "c", "rejected": "d"}), named("prompt", "chosen")),
    ("colon.csv", "a:b,#x\na b,c d\n", ()),
    ("words.csv", "yes,null\na b,c d\n", named("yes", "null")),
    ("braces.jsonl", lines({"{a": "a b", "b}}": "c d"}), ()),
    ("odd.jsonl", lines({" ": "a b", "- x": "c d"}), ()),
    ("unicode.jsonl", lines({"❓ Fräge 😀": "a b", "\u202eAntwort\u0085\x7f": "c d"}), ()),
    ("long.jsonl", lines({LONG: "a b" * 999, LONG + "2": "c d" * 9999}), ()),
    ("od:d #1 [x] ~ 😀.jsonl", lines({"prompt": "a b", "completion": "c d"}), ()),
]


def write(name: str, content: str | bytes) -> None:
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())


Checked = Callable[[Path], None]


@pytest.fixture(scope="module")
def checked() -> Checked:
    """What `recipes check` asks of classes, options and rows, without LightningCLI, which takes half a second each."""
    from tunesmith.cli.trainer_cli import sections
    from tunesmith.data.first_rows import look
    from tunesmith.data.rejected import LIMIT
    from tunesmith.data.sources import Source

    kinds, catalog = sections(), Catalog.load(allow=())

    def check_recipe(path: Path) -> None:
        found = yaml.safe_load(write_yaml(check(compose([str(path)]), catalog, kinds)))["data"]["sources"]["rows"]
        spec = found["formatter"]
        cls: Any = catalog.find("formatter", spec["class_path"])
        looked = look({"rows": Source(found["path"], cls(**spec.get("init_args", {})))}, 100, LIMIT)
        assert (looked.wrong, looked.absent) == ([], []), path.read_text()

    return check_recipe


@pytest.mark.parametrize(("name", "content", "words"), GOOD, ids=[g[0] for g in GOOD])
def test_what_is_drafted_is_good(
    name: str,
    content: str | bytes,
    words: tuple[str, ...],
    checked: Checked,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write(name, content)
    assert main(["recipes", "new", "sub/mine.yaml", "--data", name, *words]) == 0
    note = "  note: data.sources.rows: Template cannot read 1 of its 31 rows; data.reject_limit allows 5 % of all\n"
    assert (note in capsys.readouterr().out) == (name == "seldom.jsonl")
    checked(Path("sub/mine.yaml"))


def test_the_check_itself_finds_drafts_good_whatever_the_names(bench: Any) -> None:
    odd = [case for case in GOOD if case[0].startswith(("colon", "words", "braces", "odd", "unicode", "long"))]
    for number, (name, content, words) in enumerate(odd):
        write(name, content)
        bench.done("recipes", "new", f"r {number}.yaml", "--data", name, *words)
    targets = [f"r {number}.yaml" for number in range(len(odd))]
    assert bench.done("recipes", "check", *targets).out == "".join(f"{target}: good\n" for target in targets)
    # and the header can be typed
    command = Path("r 1.yaml").read_text().splitlines()[1]
    assert command.startswith("#   lightning-cli recipes check 'r 1.yaml' ")


BAD: list[tuple[str, str | bytes, tuple[str, ...], str]] = [
    (
        "map.jsonl",
        lines({"prompt": {"a": 1}, "completion": "x"}),
        (),
        "both of text or numbers, one of messages, or text alone; there are: prompt (lists or maps), completion (text)",
    ),
    (
        "map.jsonl",
        lines({"prompt": {"a": 1}, "completion": "x"}),
        named("prompt", "completion"),
        ":1: prompt: is a map;",
    ),
    ("null.jsonl", lines({"prompt": "a", "completion": None}), (), "prompt (text), completion (nothing)"),
    ("list.jsonl", lines({"question": ["a"], "answer": ["b"]}), (), "question (lists or maps), answer (lists or maps)"),
    ("image.jsonl", lines({"messages": [IMAGE, ANSWER]}), (), ":1: messages[0].content: holds an image; only text is"),
    ("role.jsonl", lines({"messages": [{**ASK, "role": "bot"}]}), (), ":1: messages[0].role: is none of system, user"),
    ("images.jsonl", lines({"prompt": "a", "completion": "b", "images": ["x"]}), (), ":1: images: holds images;"),
    (
        "half.csv",
        "question,answer\na,b\nc,\ne,f\n",
        (),
        "Template cannot read 1 of its 3 rows; data.reject_limit allows 5 % of all",
    ),
    (
        "sorted.jsonl",
        lines(*[{"prompt": "", "completion": "b"}] * 100, *[{"prompt": "a", "completion": "b"}] * 9000),
        (),
        "PromptCompletion can read none of the first 100 rows",
    ),
    (
        "late.jsonl",
        lines(*[{"prompt": "a", "completion": "b"}] * 200, *[{"prompt": "", "completion": "b"}] * 20),
        (),
        "PromptCompletion cannot read 20 of its 220 rows; data.reject_limit allows 5 %",
    ),
    ("numbers.csv", "a,b\n1,2\n", (), "which is the prompt and which the answer: a (numbers), b (numbers)"),
    ("one.csv", "a\nx y\n", (), "there are: a (text)"),
    ("header.csv", "a,b\n", (), "no row could be read"),
    ("empty.jsonl", "", (), "no row could be read"),
    ("utf16.csv", "question,answer\na,b\n".encode("utf-16-le"), (), "utf16.csv is UTF-16 without the mark"),
    ("rows.xlsx", "x", (), "rows.xlsx ends in .xlsx; files are read by ending"),
]


@pytest.mark.parametrize(("name", "content", "words", "says"), BAD, ids=[f"{n}-{c[0]}" for n, c in enumerate(BAD)])
def test_what_cannot_be_used_is_said_with_the_column(
    name: str,
    content: str | bytes,
    words: tuple[str, ...],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write(name, content)
    assert main(["recipes", "new", "mine.yaml", "--data", name, *words]) == 2
    said = capsys.readouterr()
    assert says in said.err
    assert len(said.err.splitlines()) <= 4
    assert (said.out, Path("mine.yaml").exists()) == ("", False)


def test_other_columns_that_would_do_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    row = {"prompt": 1, "completion": [{"role": "x"}], "note": "a", "long": "b"}
    write("rows.jsonl", lines(row))
    assert main(["recipes", "new", "mine.yaml", "--data", "rows.jsonl", *named("prompt", "completion")]) == 2
    *_, advice = capsys.readouterr().err.splitlines()
    assert advice == (
        "mend the rows in the file, or name other columns of text (note, long): "
        "--prompt-column NAME --completion-column NAME"
    )


# Names that mean something to YAML, to a template or to a formatter, and any others.
ODD = "yes null ~ a:b #x {a} }{ - *a &b !c 1e5 0x1 .inf [] a,b"
KNOWN = (
    "prompt completion messages conversations text instruction input output response question answer id system images"
)
NAMES = st.one_of(
    st.sampled_from([*KNOWN.split(), *ODD.split()]),
    st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=9),
)
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=9)
KINDS: list[st.SearchStrategy[Any]] = [
    WORDS,
    WORDS,
    WORDS | st.none() | st.just(" "),
    st.none(),
    st.integers(-9, 9) | st.booleans() | st.floats(allow_nan=False, allow_infinity=False),
    st.lists(WORDS, max_size=2),
    st.dictionaries(WORDS, WORDS | st.none(), max_size=2),
    st.sampled_from([[ASK, ANSWER], [PARTS, ANSWER], [ASK], [IMAGE, ANSWER], [], [{"role": "user"}], [[ASK]]]),
    st.sampled_from([[HUMAN, GPT], [HUMAN], [{"from": "human"}], [HUMAN, ANSWER]]),
    st.sampled_from([json.dumps([ASK, ANSWER]), json.dumps([HUMAN, GPT]), "[", "[1]", "{}"]),
]


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows with columns of odd names, each of one kind, and what the command line names; a column may be absent."""
    names = draw(st.lists(NAMES, min_size=2, max_size=4, unique=True))
    text = draw(st.sampled_from([0, 1, 2, 2]))  # so many columns hold text
    kinds = {name: draw(st.just(WORDS) if n < text else st.sampled_from(KINDS)) for n, name in enumerate(names)}
    few = [
        {name: draw(kind) for name, kind in kinds.items() if draw(st.integers(0, 19))}
        for _ in range(draw(st.sampled_from([1, 1, 2])))
    ]
    rows = few * draw(st.sampled_from([1, 15]))
    given = draw(st.sampled_from([[], names[:2], names[:2], names[1::-1], names[:1], [names[0], draw(NAMES)]]))
    options = ("--prompt-column", "--completion-column")
    return rows, [f"{option}={name}" for option, name in zip(options, given, strict=False)]


def run(*words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(list(words))
    return code, out.getvalue(), err.getvalue()


@pytest.mark.slow
@settings(max_examples=60)
@given(case=cases())
def test_whatever_the_columns_a_draft_is_good_or_refused(
    checked: Checked, case: tuple[list[dict[str, Any]], list[str]]
) -> None:
    rows, words = case
    with TemporaryDirectory() as folder:
        data, mine = Path(folder) / "rows.jsonl", Path(folder) / "mine.yaml"
        data.write_text(lines(*rows))
        code, _, err = run("recipes", "new", str(mine), "--data", str(data), *words)
        event(f"exit {code}")
        assert code in (0, 2), err
        assert mine.exists() == (code == 0)
        assert (err == "") == (code == 0), err
        if code == 0:
            checked(mine)


# The base.


@pytest.mark.parametrize(
    ("base", "says"),
    [
        ("no base at all", "--base: 'no base at all' is none of: a hub id (org/name), a path"),
        ("", "--base: '' is none of: a hub id"),
        ("./mdoels", "--base: base ./mdoels does not exist; did you mean models?"),
        ("./models", "--base: ./models holds neither config.json nor GGUF"),
        ("./rows.jsonl", "--base: ./rows.jsonl is a file, but no GGUF file"),
        ("package://no_such_package/x", "--base: package://no_such_package/x: no package no_such_package is installed"),
    ],
)
def test_a_base_that_is_not_there_is_refused(
    base: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("models").mkdir()
    write("rows.jsonl", lines({"prompt": "a", "completion": "b"}))
    assert main(["recipes", "new", "mine.yaml", "--data", "rows.jsonl", "--base", base]) == 2
    assert says in capsys.readouterr().err
    assert not Path("mine.yaml").exists()


def test_a_base_that_is_there_is_found_from_wherever_the_recipe_lies(bench: Any, tiny_base: Path) -> None:
    (bench.folder / "base").symlink_to(tiny_base)
    (bench.folder / "far/away").mkdir(parents=True)
    (bench.folder / "link").symlink_to(bench.folder / "far/away")
    targets = ["a.yaml", "sub/b.yaml", "link/c.yaml"]
    for target in targets:
        bench.done("recipes", "new", target, "--data", "rows.jsonl", "--base", "./base")
    told = bench.done("recipes", "new", "d.yaml", "--data", "rows.jsonl", "--base", "acme/none").out
    assert "  note: model.base: whether the hub has acme/none cannot be told: HF_HUB_OFFLINE is set" in told
    targets.append("far/away/c.yaml")  # where the link leads
    ran = bench.done("recipes", "check", *targets)
    assert ran.out == "".join(f"{target}: good\n" for target in targets)
    with contextlib.chdir(tiny_base):
        for base in (".", "../" + tiny_base.name):
            target = bench.folder / "sub" / "e.yaml"
            bench.done(
                "recipes", "new", str(target), "--data", str(bench.folder / "rows.jsonl"), "--base", base, "--force"
            )
            assert Path(bench.folder / "sub", yaml.safe_load(target.read_text())["model"]["base"]).samefile(tiny_base)


def test_a_name_that_a_package_has_too_is_refused_as_the_check_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tunesmith_plugins.evaluators.rouge import ROUGE

    own = Entry("evaluator", type("ROUGE", (ROUGE,), {"__module__": "acme"}), "acme", "1.0")
    both = Catalog([*Catalog.load(allow=()).entries, own])
    monkeypatch.setattr(Catalog, "load", lambda **_: both)
    monkeypatch.chdir(tmp_path)
    write("rows.jsonl", lines({"prompt": "a", "completion": "b"}))
    assert main(["recipes", "new", "mine.yaml", "--data", "rows.jsonl"]) == 2
    assert "2 packages have an evaluator called ROUGE" in capsys.readouterr().err
    write("rows.txt", "a\n")
    assert main(["recipes", "new", "mine.yaml", "--data", "rows.txt"]) == 0, "it names another evaluator"


@pytest.mark.parametrize("data", [lines({"prompt": "a", "completion": "b"}), lines({"text": "a"})])
def test_all_plugins_that_a_draft_names_are_known(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tunesmith.data.read_as import formatters_of
    from tunesmith.recipe.columns import choose, look
    from tunesmith.recipe.draft import plugins

    monkeypatch.chdir(tmp_path)
    write("rows.jsonl", data)
    assert main(["recipes", "new", "mine.yaml", "--data", "rows.jsonl"]) == 0
    recipe = json.dumps(yaml.safe_load(Path("mine.yaml").read_text()))
    columns = look(Path("rows.jsonl"))
    known = {name for _, name in plugins(columns, choose(columns, formatters_of(Catalog.load())))}
    assert {e.name for e in Catalog.load().entries if f'"{e.name}"' in recipe} == known


def test_it_loads_no_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("base").mkdir()
    write("base/config.json", "{}")
    write("rows.jsonl", lines({"prompt": "a", "completion": "b"}))
    words = ["recipes", "new", "mine.yaml", "--data", "rows.jsonl", "--base", "./base"]
    code = (
        f"import sys; from tunesmith.cli.main import main; code = main({words}); "
        "sys.exit(code or len({'torch', 'lightning', 'transformers'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
    assert Path("mine.yaml").is_file()


def test_a_draft_asks_for_the_version_that_the_check_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # a checkout that was pulled and not installed again
    monkeypatch.setattr(metadata, "version", lambda _: "0.3.1")
    monkeypatch.chdir(tmp_path)
    write("rows.jsonl", lines({"prompt": "a", "completion": "b"}))
    assert main(["recipes", "new", "mine.yaml", "--data", "rows.jsonl"]) == 0
    recipe = compose(["mine.yaml"])
    assert recipe.data["requires"] == [f"tunesmith>={__version__.rpartition('.')[0]}"]
    check_requires(recipe)

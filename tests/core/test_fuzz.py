"""Whatever is in a recipe or a file of rows: it is read, or refused in our words; never a traceback.

`TUNESMITH_FUZZ` is how many inputs each test tries: `.ci/run` says 1000, and 10000 is for who has touched a reader.
"""

import copy
import gzip
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunesmith import DataError, Example, Formatter, RecipeError, RowError
from tunesmith.data.read import endings, read_file
from tunesmith.data.rows import Reject, Row
from tunesmith.plugins.catalog import Catalog
from tunesmith.recipe.compose import compose
from tunesmith.recipe.schema import check
from tunesmith_plugins.formatters.context_qa import ContextQA
from tunesmith_plugins.formatters.instruction import Instruction
from tunesmith_plugins.formatters.label_studio import LabelStudio
from tunesmith_plugins.formatters.messages import Messages
from tunesmith_plugins.formatters.preference import Preference
from tunesmith_plugins.formatters.prodigy import Prodigy
from tunesmith_plugins.formatters.prompt_completion import PromptCompletion
from tunesmith_plugins.formatters.prompt_only import PromptOnly
from tunesmith_plugins.formatters.query_response import QueryResponse
from tunesmith_plugins.formatters.ranked_answers import RankedAnswers
from tunesmith_plugins.formatters.raw_text import RawText
from tunesmith_plugins.formatters.segments import Segments
from tunesmith_plugins.formatters.share_gpt import ShareGPT
from tunesmith_plugins.formatters.stepwise import Stepwise
from tunesmith_plugins.formatters.template import Template
from tunesmith_plugins.formatters.text_label import TextLabel
from tunesmith_plugins.formatters.unpaired_preference import UnpairedPreference

INPUTS = int(os.environ.get("TUNESMITH_FUZZ", "150"))
FOLDER = Path(__file__).parents[2] / "recipes"
GOOD = [yaml.safe_load(f.read_text()) for f in sorted(FOLDER.rglob("*.yaml"))]
MEDSYNC = yaml.safe_load((FOLDER / "medsync.yaml").read_text())
FORMATTERS: Sequence[Formatter] = (
    PromptCompletion(),
    PromptCompletion(system="system"),
    Messages(),
    Instruction(),
    RawText(),
    Template("{prompt}{{", "{completion}", "{system}"),
    Preference(),
    UnpairedPreference(),
    Segments(),
    TextLabel(),
    LabelStudio(),
    Prodigy(),
    ShareGPT(),
    QueryResponse(),
    ContextQA(),
    PromptOnly(),
    RankedAnswers(),
    Stepwise(),
)


def fuzz(share: float = 1.0) -> Any:
    """Settings for a share of all inputs."""
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    return settings(max_examples=max(10, int(INPUTS * share)), suppress_health_check=checks)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture(scope="module")
def sections() -> dict[str, Any]:
    from tunesmith.cli.trainer_cli import sections

    return sections()


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.load(allow=())


def try_recipe(
    content: bytes, words: Sequence[str], folder: Path, sections: dict[str, Any], catalog: Catalog, below: str = ""
) -> None:
    """Read, merge and check a recipe: it is good, or refused in one message."""
    (folder / "r.yaml").write_bytes(content)
    try:
        checked = check(compose([*([below] if below else []), str(folder / "r.yaml")], words), catalog, sections)
    except RecipeError as error:
        said = str(error)
    else:
        said = f"good: {checked['model']['base']} {json.dumps(checked)}"  # as LightningCLI is given it
    assert said.strip()


_WORDS = ["a", "model", "base", "data", "sources", "class_path", "init_args", "LoRA", "os.system", "1", "2e-4", ".nan"]
_SIGNS = [": ", "\n", "\n  ", "- ", "{", "}", "[", "]", ", ", "&a ", "*a", "<<: ", "!!str ", "!x ", "|", ">", "'", '"']
_ODD = ["#", "%", "@", "`", "? ", "---", "...", "\t", "\r", "\0", "\ufeff", "\u2028", "\x85", "~", "null", "0x", "1_0"]
YAMLISH = st.lists(st.sampled_from([*_WORDS, *_SIGNS, *_ODD]), max_size=30).map("".join)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(
        [*_WORDS, "package://x/y", "hf://", "../x", "~/x", "{class_path: x}", "*", "a/b", "ROUGE", "x.y.Z"]
    ),
)
KEYS = st.one_of(st.sampled_from(_WORDS), st.text(max_size=6))
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)


def key_paths(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in inner:
        yield (*path, key)
        yield from key_paths(value, (*path, key))


@st.composite
def changed(draw: st.DrawFn) -> dict[str, Any]:
    """A shipped recipe or overlay, changed at one to three places."""
    data = copy.deepcopy(draw(st.sampled_from(GOOD)))
    for _ in range(draw(st.integers(1, 3))):
        paths = list(key_paths(data))
        if not paths:
            break
        path = draw(st.sampled_from(paths))
        parent: Any = data
        for key in path[:-1]:
            parent = parent[key]
        if isinstance(parent, list) or draw(st.booleans()):
            parent[path[-1]] = draw(VALUES)
        else:
            parent[draw(KEYS)] = parent.pop(path[-1])
    return data


@pytest.mark.slow
@fuzz(0.45)
@given(content=st.one_of(YAMLISH.map(lambda text: text.encode()), st.text().map(lambda t: t.encode()), st.binary()))
def test_any_bytes_for_a_recipe(content: bytes, folder: Path, sections: dict[str, Any], catalog: Catalog) -> None:
    try_recipe(content, (), folder, sections, catalog)


@pytest.mark.slow
@fuzz(0.2)
@given(text=YAMLISH, key=st.sampled_from(["model", "data", "trainer", "evaluators", "success", "plugins"]))
def test_any_text_laid_over_a_recipe(
    text: str, key: str, folder: Path, sections: dict[str, Any], catalog: Catalog
) -> None:
    indented = text.replace("\n", "\n  ")
    content = f"{key}:\n  {indented}\n".encode()
    try_recipe(content, (), folder, sections, catalog, below=str(FOLDER / "medsync.yaml"))


@pytest.mark.slow
@fuzz(0.25)
@given(data=changed())
def test_any_change_of_a_recipe(data: dict[str, Any], folder: Path, sections: dict[str, Any], catalog: Catalog) -> None:
    try_recipe(yaml.safe_dump(data).encode(), (), folder, sections, catalog)


@pytest.mark.slow
@fuzz(0.15)
@given(
    words=st.lists(st.tuples(st.sampled_from([*key_paths(MEDSYNC), ("x",)]), YAMLISH | st.text(max_size=9)), max_size=3)
)
def test_any_words_of_a_command_line(
    words: list[tuple[tuple[Any, ...], str]], folder: Path, sections: dict[str, Any], catalog: Catalog
) -> None:
    given_words = [f"--{'.'.join(map(str, path))}={text}" for path, text in words]
    try_recipe(yaml.safe_dump(MEDSYNC).encode(), given_words, folder, sections, catalog)


def format_all(row: dict[str, Any]) -> None:
    """What each formatter makes of a row: an example, or a reason why not."""
    for formatter in FORMATTERS:
        for read in (formatter.format, formatter.question):
            try:
                example = read(row)
            except RowError as error:
                said = error.reason
            else:
                assert isinstance(example, Example)
                said = str(example.messages or example.segments or example.chosen)
            assert said not in ("", "()")


_COLUMNS = ["prompt", "completion", "messages", "role", "content", "instruction", "input", "output", "history", "text"]
_MORE = [
    "system",
    "tools",
    "response",
    "train",
    "weight",
    "loss",
    "tool_calls",
    "chosen",
    "rejected",
    "label",
    "segments",
    "data",
    "annotations",
    "answer",
    "accept",
    "spans",
    "function",
    "arguments",
    "images",
    "type",
]
_CELLS = ["user", "assistant", "system", "tool", "[]", "{}", "[[", '[{"role": "user", "content": "a"}]', "", " ", "a,b"]
JSON_SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from(_CELLS)
)
NAMES = st.sampled_from([*_COLUMNS, *_MORE]) | st.text(max_size=4)
TURNS = st.dictionaries(
    st.sampled_from(["role", "content", "weight", "train", "tool_calls"]),
    JSON_SCALARS | st.lists(st.dictionaries(NAMES, JSON_SCALARS, max_size=2), max_size=2),
    max_size=3,
)
JSON_VALUES = st.recursive(
    JSON_SCALARS | st.lists(TURNS, max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
ROWS = st.dictionaries(NAMES, JSON_VALUES, max_size=5)


@pytest.mark.slow
@fuzz(0.7)
@given(row=ROWS)
def test_any_row_for_a_formatter(row: dict[str, Any]) -> None:
    format_all(row)


_BYTES = [b"a", b'"', b",", b";", b"\n", b"\r", b"\r\n", b"\0", b"\xff", b"\xef\xbb\xbf", b"{", b"}", b"[", b"]", b":"]
_PIECES = [
    b'"prompt"',
    b'"completion"',
    b"NaN",
    b"1e999",
    b'"\\ud800"',
    b"9" * 40,
    b"prompt,completion",
    b"\t",
    b" ",
    b"\\",
]
CONTENT = st.one_of(
    st.binary(max_size=200),
    st.lists(st.sampled_from([*_BYTES, *_PIECES]), max_size=30).map(b"".join),
    st.lists(ROWS, max_size=3).map(lambda rows: "\n".join(json.dumps(row) for row in rows).encode()),
    st.lists(ROWS, max_size=3).map(lambda rows: json.dumps(rows).encode()),
    st.just(b"[" * 20_000),
)


@pytest.mark.slow
@fuzz(0.3)
@given(content=CONTENT, ending=st.sampled_from(endings()), packed=st.booleans())
def test_any_bytes_for_a_file_of_rows(content: bytes, ending: str, packed: bool, folder: Path) -> None:
    file = folder / f"rows{ending}"
    file.write_bytes(gzip.compress(content) if packed and ending.endswith(".gz") else content)
    try:
        read = list(read_file(file))
    except DataError as error:
        read, said = [], str(error)
    else:
        said = str(file)
    assert said.startswith(str(file))
    for one in read:
        if isinstance(one, Row):
            json.dumps(one.values, allow_nan=False).encode()
            format_all(one.values)
        else:
            assert isinstance(one, Reject)
            assert one.reason

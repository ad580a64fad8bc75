"""From the command line's files and words to one recipe."""

from pathlib import Path

import pytest

from tunesmith.errors import RecipeError
from tunesmith.recipe.compose import Recipe, compose

RECIPE = """\
seed_everything: 7
model:
  base: package://acme/base
  adapter: {class_path: QLoRA, init_args: {rank: 16}}
data:
  sources:
    intake: {path: data/intake.jsonl, formatter: PromptCompletion}
  batch_size: 8
evaluators:
  rouge: ROUGE
success:
  rouge/rougeL: {at_least: 0.6}
trainer: {max_epochs: 3, callbacks: [A, B]}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    file = tmp_path / "recipes" / "med.yaml"
    file.parent.mkdir()
    file.write_text(RECIPE)
    return file


def overlay(recipe: Path, text: str, name: str = "over/lay.yaml") -> str:
    file = recipe.parent / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return str(file)


def refusal(configs: list[str], overrides: list[str] | None = None) -> str:
    with pytest.raises(RecipeError) as caught:
        compose(configs, overrides or [])
    return str(caught.value)


def test_a_recipe_has_its_files_name(recipe: Path) -> None:
    made = compose([str(recipe), overlay(recipe, "trainer: {max_epochs: 1}")], [])
    assert made.name == "med"
    assert made.paths == [recipe, recipe.parent / "over/lay.yaml"]


def test_later_files_change_earlier_ones_key_by_key(recipe: Path) -> None:
    made = compose([str(recipe), overlay(recipe, "data: {sources: {more: {path: x.csv, formatter: Y}}}")], [])
    assert list(made.data["data"]["sources"]) == ["intake", "more"]
    assert made.data["data"]["batch_size"] == 8


def test_relative_paths_start_from_the_file_that_names_them(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    text = "model: {base: ../models/x, template: chat.jinja}\ndata: {sources: {more: {path: [a.csv, ../b.csv]}}}"
    made = compose([str(recipe), overlay(recipe, text)], [])
    folder = recipe.parent
    assert made.data["data"]["sources"]["intake"]["path"] == str(folder / "data/intake.jsonl")
    assert made.data["data"]["sources"]["more"]["path"] == [str(folder / "over/a.csv"), str(folder / "b.csv")]
    assert made.data["model"]["base"] == str(folder / "models/x")
    assert made.data["model"]["template"] == str(folder / "over/chat.jinja")


def test_paths_of_the_command_line_start_from_the_working_directory(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = compose([str(recipe)], ["--data.sources.intake.path=x.jsonl", "--model.base=./here"])
    assert made.data["data"]["sources"]["intake"]["path"] == str(tmp_path / "x.jsonl")
    assert made.data["model"]["base"] == str(tmp_path / "here")


@pytest.mark.parametrize("base", ["org/name", "gpt2", "package://acme/base", "/abs/model"])
def test_a_base_that_is_no_relative_path_stays(recipe: Path, base: str) -> None:
    assert compose([str(recipe)], [f"--model.base={base}"]).data["model"]["base"] == base


@pytest.mark.parametrize("path", ["hf://owner/name?split=train", "package://acme/rows.csv"])
def test_an_address_with_a_scheme_stays(recipe: Path, path: str) -> None:
    made = compose([str(recipe)], [f"--data.sources.intake.path={path}"])
    assert made.data["data"]["sources"]["intake"]["path"] == path


def test_a_template_given_as_text_stays(recipe: Path) -> None:
    text = "model:\n  template: |\n    {{ messages }}\n    more.txt\n"
    made = compose([str(recipe), overlay(recipe, text)], [])
    assert made.data["model"]["template"] == "{{ messages }}\nmore.txt\n"


def test_home_is_expanded(recipe: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert compose([str(recipe)], ["--model.base=~/m"]).data["model"]["base"] == str(tmp_path / "m")


@pytest.mark.parametrize(
    "words", [["--model.adapter.rank=8"], ["--model.adapter.rank", "8"], ["--model.adapter.init_args.rank=8"]]
)
def test_an_option_of_a_class_is_set_from_the_command_line(recipe: Path, words: list[str]) -> None:
    assert compose([str(recipe)], words).data["model"]["adapter"] == {"class_path": "QLoRA", "init_args": {"rank": 8}}


@pytest.mark.parametrize("swap", [False, True])
def test_a_class_is_changed_before_its_options_whatever_the_order(recipe: Path, swap: bool) -> None:
    words = ["--model.adapter=LoRA", "--model.adapter.rank=8"]
    made = compose([str(recipe)], words[::-1] if swap else words)
    assert made.data["model"]["adapter"] == {"class_path": "LoRA", "init_args": {"rank": 8}}


def test_the_last_of_two_equal_words_counts(recipe: Path) -> None:
    assert compose([str(recipe)], ["--data.batch_size=4", "--data.batch_size=2"]).data["data"]["batch_size"] == 2


def test_an_option_of_a_bare_class_name_is_set_from_the_command_line(recipe: Path) -> None:
    made = compose([str(recipe)], ["--evaluators.rouge.stem=true"])
    assert made.data["evaluators"]["rouge"] == {"class_path": "ROUGE", "init_args": {"stem": True}}


def test_names_with_slashes_are_addressed(recipe: Path) -> None:
    made = compose([str(recipe)], ["--success.rouge/rougeL.at_least=0.9"])
    assert made.data["success"] == {"rouge/rougeL": {"at_least": 0.9}}


def test_names_with_dots_are_addressed(recipe: Path) -> None:
    extra = overlay(recipe, "success: {m/f0.5: {at_least: 0.1}}")
    made = compose([str(recipe), extra], ["--success.m/f0.5.at_least=0.9"])
    assert made.data["success"]["m/f0.5"] == {"at_least": 0.9}


def test_values_are_read_as_yaml(recipe: Path) -> None:
    made = compose(
        [str(recipe)], ["--a=[1, x]", "--b={c: 2e-4}", "--d=null", "--e=", "--f=a: b: c", "--g=-1", "--h", "-1"]
    )
    assert {k: made.data.get(k, "absent") for k in "abdefgh"} == {
        "a": [1, "x"], "b": {"c": 2e-4}, "d": "absent", "e": "", "f": "a: b: c", "g": -1, "h": -1,
    }  # fmt: skip


def test_null_removes_an_entry_and_is_remembered(recipe: Path) -> None:
    made = compose([str(recipe), overlay(recipe, "evaluators: {rouge: null}")], ["--trainer.callbacks=null"])
    assert made.data["evaluators"] == {}
    assert "callbacks" not in made.data["trainer"]
    assert made.nulls == {("evaluators", "rouge"), ("trainer", "callbacks")}


def test_what_was_removed_can_be_given_again(recipe: Path) -> None:
    configs = [
        str(recipe),
        overlay(recipe, "evaluators: {rouge: null}"),
        overlay(recipe, "evaluators: {rouge: X}", "b.yaml"),
    ]
    made = compose(configs, [])
    assert made.data["evaluators"] == {"rouge": "X"}
    assert made.nulls == frozenset()


def test_every_key_knows_who_set_it(recipe: Path) -> None:
    extra = overlay(recipe, "trainer:\n  max_epochs: 1\n")
    made = compose([str(recipe), extra], ["--model.adapter.rank=8"])
    assert made.origin("trainer.max_epochs") == extra
    assert made.mark("trainer.max_epochs").line == 2
    assert made.origin("trainer.callbacks") == str(recipe)
    assert made.origin(("model", "adapter", "init_args", "rank")) == "command line"
    assert made.origin("model.adapter.class_path") == str(recipe)
    assert made.origin("model.absent") == str(recipe)
    assert made.origin("evaluators.rouge.init_args.stem") == str(recipe)


def test_what_was_typed_is_kept_beside_what_yaml_made_of_it(recipe: Path) -> None:
    made: Recipe = compose([str(recipe)], ["--data.sources.intake.task=007"])
    assert made.text("data.sources.intake.task") == "007"
    assert made.text("data.sources.intake.task.deeper") is None
    assert made.text("data.batch_size") is None


def test_a_missing_file_names_the_nearest(recipe: Path) -> None:
    assert (
        refusal([str(recipe.parent / "mde.yaml")])
        == f"{recipe.parent / 'mde.yaml'} does not exist; did you mean med.yaml?"
    )


def test_a_missing_folder_is_named(recipe: Path) -> None:
    assert "there is no folder" in refusal([str(recipe.parent / "none" / "med.yaml")])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"- a\n- b\n", "is not a map of keys"),
        (b"\xff\xfe\x00", "is not text in UTF-8"),
        (b"a: 1\n#" + b"x" * 2**20, "a recipe is at most 1 MiB"),
        (b"a: [", "this is not YAML"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    file = tmp_path / "r.yaml"
    file.write_bytes(content)
    message = refusal([str(file)])
    assert message.startswith(str(file))
    assert says in message
    assert "\n" not in message


def test_a_folder_and_nothing_are_refused(tmp_path: Path) -> None:
    assert "is a folder" in refusal([str(tmp_path)])
    assert "--config" in refusal([])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["model.base=x"], "is not a change of a recipe"),
        (["--model..base=x"], "is not a change of a recipe"),
        (["--data.batch_size"], "--data.batch_size needs a value"),
        (["--data.batch_size", "--trainer.max_epochs=1"], "--data.batch_size needs a value"),
        (["--trainer.callbacks.0.patience=3"], "trainer.callbacks is a list, which is replaced whole"),
    ],
)
def test_a_malformed_override_is_refused(recipe: Path, words: list[str], says: str) -> None:
    message = refusal([str(recipe)], words)
    assert message.startswith("command line: ")
    assert says in message


def test_a_recipe_of_an_installed_package_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "acme_recipes_x"
    (package / "legal").mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('imported')")
    (package / "legal" / "brief.yaml").write_text("data: {sources: {a: {path: ../rows.csv}}}")
    monkeypatch.syspath_prepend(str(tmp_path))
    made = compose(["package://acme_recipes_x/legal/brief.yaml"], [])
    assert made.name == "brief"
    assert made.data["data"]["sources"]["a"]["path"] == str(package / "rows.csv")
    assert made.origin("data") == "package://acme_recipes_x/legal/brief.yaml"

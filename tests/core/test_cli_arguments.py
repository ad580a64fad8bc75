"""The command line of a verb: options, overrides, and what is said about a wrong one."""

import pytest

from tunesmith.cli.arguments import help_page, parse
from tunesmith.errors import RecipeError

SECTIONS = ["model", "data", "trainer", "seed_everything"]


def test_options_flags_and_overrides_are_told_apart() -> None:
    words = [
        "-c",
        "a.yaml",
        "--config=b.yaml",
        "--data.batch_size",
        "4",
        "--seed_everything=3",
        "--ckpt_path",
        "last",
        "--relock",
    ]
    parsed = parse("fit", words, SECTIONS)
    assert parsed.repeated["config"] == ["a.yaml", "b.yaml"]
    assert parsed.overrides == ["--data.batch_size=4", "--seed_everything=3"]
    assert parsed.options == {"ckpt_path": "last", "relock": "true"}


def test_a_value_may_begin_with_one_dash_or_hold_an_equals_sign() -> None:
    parsed = parse("predict", ["--prompt", "-1 + 1 = ?", "--model.x=a=b"], SECTIONS)
    assert parsed.options["prompt"] == "-1 + 1 = ?"
    assert parsed.overrides == ["--model.x=a=b"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--confg", "a.yaml"], "did you mean --config"),
        (["--modle.base=x"], "did you mean --model.base"),
        (["--locked"], "it belongs to fit"),
        (["--config"], "--config needs a value"),
        (["a.yaml"], "did you mean --config a.yaml"),
    ],
)
def test_a_wrong_word_is_answered_with_the_nearest_right_one(words: list[str], said: str) -> None:
    with pytest.raises(RecipeError, match=said) as caught:
        parse("test", words, SECTIONS)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("word", ["--locked=false", "--relock=", "--keep-rejected=false", "--print_config=false"])
def test_a_value_of_a_flag_is_not_dropped(word: str) -> None:
    with pytest.raises(RecipeError, match=f"^{word.partition('=')[0]} takes no value; leave it out"):
        parse("fit", [word], SECTIONS)


def test_help_lists_every_option_of_the_verb_and_no_other() -> None:
    page = help_page("fit", "Train.", SECTIONS)
    assert "--relock" in page
    assert "--prompt" not in page

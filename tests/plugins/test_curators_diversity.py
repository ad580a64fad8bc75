"""Diversity: large clusters are capped, what stays lies far apart, and each step is that of a plain loop."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith import Example, Message, RecipeError
from tunesmith.data.curate import apply_curator, check_curators
from tunesmith_plugins.curators.diversity import Diversity
from tunesmith_plugins.curators.embedding import kmeans
from tunesmith_plugins.curators.embedding.encode import Floats, unit
from tunesmith_plugins.curators.embedding.kmeans import centres_of, clusters, evenness, spread
from tunesmith_plugins.curators.embedding.rows import Rows

Static = Callable[[Mapping[str, Sequence[float]]], Path]
SUBJECTS = {"refund": 70, "parcel": 20, "login": 10}
DROPPED = "of a large cluster"


@pytest.fixture
def model(static_model: Static) -> Path:
    """Three subjects at right angles, and words that move a row a little."""
    small = {f"w{at}": tuple(0.2 * value for value in np.eye(9)[at]) for at in range(3, 9)}
    return static_model({name: tuple(np.eye(9)[at]) for at, name in enumerate(SUBJECTS)} | small)


def rows() -> list[Example]:
    drawn = np.random.default_rng(0)
    texts = [f"{name} w{drawn.integers(3, 9)}" for name, count in SUBJECTS.items() for _ in range(count)]
    order = drawn.permutation(len(texts))
    return [Example(messages=(Message("user", texts[at]),), id=str(number)) for number, at in enumerate(order)]


def run(curator: Diversity, examples: list[Example], seed: int = 7) -> tuple[list[Example], dict[str, int], str]:
    check_curators({"even": curator})
    kept, counts = apply_curator("even", curator, examples, seed)
    (remark,) = counts["remarks"]
    return kept, counts["drops"], remark


def subjects(examples: list[Example]) -> Counter[str]:
    return Counter(example.texts()[0].split()[0] for example in examples)


def test_large_clusters_are_capped_at_their_share(model: Path) -> None:
    kept, drops, remark = run(Diversity(model, 3, 1.2), rows())
    assert subjects(kept) == {"refund": 40, "parcel": 20, "login": 10}
    assert drops == {DROPPED: 30}
    even, then = (math.exp(-sum(n / sum(s) * math.log(n / sum(s)) for n in s)) for s in ((70, 20, 10), (40, 20, 10)))
    assert remark == (
        f"100 rows in 3 clusters: as diverse as {even:.1f} of equal size, the largest 70%; "
        f"of the 70 that stay: as diverse as {then:.1f} of equal size, the largest 57%"
    )


def test_without_a_ratio_rows_are_counted_alone(model: Path) -> None:
    examples = rows()
    kept, drops, remark = run(Diversity(model, 3, None), examples)
    assert (kept, drops) == (examples, {})
    assert remark.startswith("100 rows in 3 clusters: ")
    assert "that stay" not in remark


def test_copies_go_before_rows_that_differ(model: Path) -> None:
    texts = [*["refund w3"] * 50, *(f"refund w{at}" for at in range(4, 9)), *["parcel w3"] * 5]
    examples = [Example(messages=(Message("user", text),), id=str(at)) for at, text in enumerate(texts)]
    kept, drops, _ = run(Diversity(model, 2, 1.0), examples)
    assert drops == {DROPPED: 25}
    assert kept[-10:] == examples[-10:]
    assert kept[0] == examples[0]  # of equal rows the first


def test_the_row_nearest_to_the_centre_stays(model: Path) -> None:
    texts = ["refund", "refund w3", "refund w4", "parcel"]
    examples = [Example(messages=(Message("user", text),), id=str(at)) for at, text in enumerate(texts)]
    assert [example.id for example in run(Diversity(model, 2, 1.0), examples)[0]] == ["0", "1", "3"]


def test_the_seed_decides_and_nothing_else(model: Path) -> None:
    examples = rows()
    one, again = (run(Diversity(model, 12, 1.0), examples, 3) for _ in range(2))
    assert one == again
    assert any(run(Diversity(model, 12, 1.0), examples, seed)[0] != one[0] for seed in range(4, 9))


def test_the_number_of_clusters_follows_the_rows(model: Path) -> None:
    assert " rows in 7 clusters: " in run(Diversity(model, ratio=None), rows())[2]
    assert "5 rows in 2 clusters" in run(Diversity(model, ratio=None), rows()[:5])[2]
    alike = [Example(messages=(Message("user", "refund"),), id=str(at)) for at in range(9)]
    kept, drops, remark = run(Diversity(model, 4, 1.0), alike)
    assert (len(kept), drops) == (9, {})
    assert remark == "9 rows in 1 cluster: as diverse as 1.0 of equal size, the largest 100%"


def test_training_rows_alone_are_capped() -> None:
    assert Diversity.scope == "train"


def made(count: int, seed: int, width: int = 6) -> Rows:
    drawn = np.random.default_rng(seed)
    return Rows(unit(drawn.normal(size=(count, width))), drawn.integers(0, count, (count, 2)))


@given(st.integers(1, 60), st.integers(1, 9), st.integers(0, 500))
def test_each_row_is_in_the_cluster_of_the_nearest_centre(count: int, number: int, seed: int) -> None:
    its = made(count, seed)
    centres = centres_of(its, number, seed)
    assert 1 <= len(centres) <= number
    assert np.allclose(np.linalg.norm(centres, axis=1), 1, atol=1e-5)
    own, cosine = clusters(its, centres)
    vectors = its.of(np.arange(count)).astype(np.float64)
    for at in range(count):
        cosines = [float(vectors[at] @ centre) for centre in centres.astype(np.float64)]
        assert cosines[own[at]] == pytest.approx(max(cosines), abs=1e-5)
        assert cosine[at] == pytest.approx(max(cosines), abs=1e-5)


def test_centres_are_the_means_of_their_rows() -> None:
    its = made(400, 5)
    centres = centres_of(its, 5, 0)  # few rows: the rounds end where nothing changes
    own, _ = clusters(its, centres)
    vectors = its.of(np.arange(400))
    for number, centre in enumerate(centres):
        assert np.allclose(unit(vectors[own == number].sum(axis=0)[None])[0], centre, atol=1e-4)


def test_clusters_are_as_good_as_those_of_scikit_learn() -> None:
    cluster = pytest.importorskip("sklearn.cluster", exc_type=ImportError)
    drawn = np.random.default_rng(4)
    heads = unit(drawn.normal(size=(12, 20)))
    vectors = unit(heads[drawn.integers(0, 12, 900)] + 0.1 * drawn.normal(size=(900, 20)))
    its = Rows(vectors, np.stack([np.arange(900), np.arange(900)], axis=1))
    every = its.of(np.arange(900))
    ours, theirs = [], []
    for seed in range(8):  # a start may end in a local optimum, theirs as ours
        ours.append(clusters(its, centres_of(its, 12, seed))[1].mean())
        found = cluster.KMeans(12, n_init=1, random_state=seed).fit(every)
        theirs.append((every @ unit(found.cluster_centers_).T).max(axis=1).mean())
    assert np.mean(ours) > np.mean(theirs) - 0.015
    assert max(ours) > max(theirs) - 0.001


def test_a_sample_is_enough_for_the_centres(monkeypatch: pytest.MonkeyPatch) -> None:
    its = made(2000, 6)
    whole = clusters(its, centres_of(its, 8, 0))[1].mean()
    monkeypatch.setattr(kmeans, "_EACH", 60)
    assert clusters(its, centres_of(its, 8, 0))[1].mean() > whole - 0.02


@given(st.integers(1, 25), st.integers(1, 30), st.integers(0, 500))
def test_each_chosen_row_is_the_farthest_from_those_before(count: int, number: int, seed: int) -> None:
    vectors = made(count, seed).vectors
    chosen = spread(vectors, seed % count, number)
    assert chosen[0] == seed % count
    assert len(set(chosen)) == len(chosen) == min(number, count)
    distance = 1 - vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    for at in range(1, len(chosen)):
        left = [row for row in range(count) if row not in chosen[:at]]
        reach = {row: min(distance[row, one] for one in chosen[:at]) for row in left}
        assert reach[chosen[at]] == pytest.approx(max(reach.values()), abs=1e-5)


def test_the_choice_reaches_all_within_twice_what_the_best_does() -> None:
    angles = np.random.default_rng(8).uniform(0, 1.2, 12)
    vectors: Floats = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)

    def reach(chosen: Sequence[int]) -> float:  # of chords, which are distances as cosines are not
        return max(min(float(np.linalg.norm(vectors[row] - vectors[one])) for one in chosen) for row in range(12))

    assert reach(spread(vectors, 0, 3)) <= 2 * min(map(reach, combinations(range(12), 3))) + 1e-6


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30))
def test_evenness_is_the_exponential_of_the_entropy(own: list[int]) -> None:
    shares = [count / len(own) for count in Counter(own).values()]
    assert evenness(np.array(own)) == pytest.approx(math.exp(-sum(share * math.log(share) for share in shares)))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"clusters": 1}, "clusters is 1; two or more are needed, or 0"),
        ({"clusters": -2}, "clusters is -2; "),
        ({"ratio": 0.5}, r"ratio is 0\.5; the largest cluster has at least 1 times"),
        ({}, "model is nowhere, which is no folder"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=rf"^data\.curators\.even\.{said}"):
        check_curators({"even": Diversity(Path("nowhere"), **options)})

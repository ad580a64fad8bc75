"""Audits of data through the command: planted rows in, findings, thresholds and exit codes out."""

from typing import Any

from tunesmith.testing import RecipeRunner
from tunesmith_plugins.fairness.planted import planted_rows

pytest_plugins = ["tunesmith.testing.pytest"]


def of(name: str, **options: Any) -> dict[str, Any]:
    return {"class_path": name, "init_args": options}


AUDITS = {
    "balance": of("Representation", categories=["gender"], columns=["town"], intersections=["gender/town"],
                  reference={"gender": {"female": 0.5, "male": 0.5}}, min_per_group=1),
    "proxies": of("Proxy", categories=["gender"], columns=["town"]),
    "said": of("Stereotypes", categories=["gender"]),
    "abuse": of("Toxicity", categories=["gender"]),
    "columns": of("Proxy", group="group"),
}  # fmt: skip


def test_a_planted_bias_is_found_by_the_command_and_misses_its_threshold(recipe_runner: RecipeRunner) -> None:
    # a seed by which chance raises no other alarm (with 5 it does, as in one of twenty: Stereotypes, p 0.045)
    recipe_runner.rows(planted_rows("proxy", 0.6, 300, seed=6))
    bounds = {"proxies/auc": {"at_most": 0.7}, "balance/gap": {"at_most": 0.1}, "said/statements": {"at_most": 0}}
    recipe_runner.recipe(audits=AUDITS, success=bounds, data={"split": {"near_duplicates": None}})
    found = recipe_runner.done("audit", code=3)
    severities = {name: findings["severity"] for name, findings in found.findings.items()}
    assert severities["proxies"] in {"medium", "high"}
    assert (severities["balance"], severities["said"]) == ("none", "none")
    assert found.findings["proxies"]["metrics"]["auc"] > 0.7
    assert found.findings["balance"]["metrics"]["gap"] == 0
    assert found.findings["balance"]["metrics"]["gender_x_town_gap"] == 0
    assert "netball" in found.findings["proxies"]["summary"] or "chess" in found.findings["proxies"]["summary"]
    wrong = "--audits.balance.init_args.reference={gender: {femal: 1.0}}"
    assert "reference: gender has no group 'femal'; did you mean female" in recipe_runner.run("audit", wrong).err

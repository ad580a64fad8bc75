"""What a fresh classifier finds of the group in held-out, frozen states, with AdversarialDebiasing and without."""

import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tunesmith import Example, Message
from tunesmith.data.batch import Window
from tunesmith.data.collate import collate
from tunesmith.data.encode import encode_split
from tunesmith.testing.tiny import make_base
from tunesmith.training.specialist import Specialist
from tunesmith_plugins.adapters.full import Full
from tunesmith_plugins.objectives.classification import Classification
from tunesmith_plugins.regularizers.adversarial_debiasing import AdversarialDebiasing

STEPS, ROWS, RATE = 400, 64, 2e-3
# How often those without and with the merit were accepted.
ACCEPTED = {"female": (0.05, 0.6), "male": (0.35, 0.95)}


def applications(number: int, seed: int) -> tuple[list[Example], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Rows whose label goes with gender and merit, which are independent; with whether each is of a man, has merit."""
    draw = random.Random(seed)
    made, men, merits = [], [], []
    for at in range(number):
        gender, good = draw.choice(("female", "male")), draw.random() < 0.5
        she, her = ("She", "her") if gender == "female" else ("He", "his")
        years, place = "many" if good else "few", draw.choice(("a mill", "a bank", "a shop"))
        kept = draw.choice(("on file", "at hand", "in order"))
        text = f"Case {at}: {she} has {years} years at {place} and {her} references are {kept}."
        label = "yes" if draw.random() < ACCEPTED[gender][good] else "no"
        made.append(Example(messages=(Message("user", text),), label=label, id=f"{seed}-{at}"))
        men.append(gender == "male")
        merits.append(good)
    return made, np.array(men), np.array(merits)


def trained(base: Path, regularizers: dict[str, Any]) -> Specialist:
    torch.manual_seed(1)
    module = Specialist(str(base), Classification(["no", "yes"]), Full(), regularizers, precision="fp32")
    module.load()
    rows = list(encode_split(applications(800, 1)[0], module.objective, module.renderer, None).rows)
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=RATE)
    draw = random.Random(0)
    for step in range(STEPS):
        rate = RATE * min(1, (step + 1) / 20) * (1 + math.cos(math.pi * step / STEPS)) / 2
        optimizer.param_groups[0]["lr"] = rate
        batch = replace(collate(draw.sample(rows, ROWS)), window=Window({"step": 1, "example": ROWS}, 1))
        for regularizer in regularizers.values():
            regularizer.advance(step, STEPS)
        module.weighed(batch, module.terms(module.passes(batch))).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return module.eval()


def looked_at(module: Specialist) -> tuple[float, float, float]:
    """How often a fresh probe tells the gender, decisions follow merit, and, against women, men are accepted.

    The probe is fitted on the states of one half of the held-out rows, and asked the other half.
    """
    rows, men, merits = applications(1600, 2)
    encoded = list(encode_split(rows, module.objective, module.renderer, None).rows)
    with torch.no_grad():
        passes = [module.passes(collate(encoded[at : at + 100])) for at in range(0, len(encoded), 100)]
        states = torch.cat([one.pooled() for one in passes]).numpy()
        accepted = torch.cat([one.head(one.pooled()).argmax(-1) for one in passes]).numpy() == 1
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000)).fit(states[:800], men[:800])
    told = float(probe.score(states[800:], men[800:]))
    return told, float((accepted == merits).mean()), float(accepted[men].mean() - accepted[~men].mean())


@pytest.mark.slow
def test_a_fresh_probe_of_held_out_states_is_at_chance_with_it_and_sure_without(tmp_path: Path) -> None:
    base = make_base(tmp_path)
    told, merit, gap = looked_at(trained(base, {}))
    found = f"without: {told:.3f} {merit:.3f} {gap:.3f}"
    hidden, right, rest = looked_at(trained(base, {"hidden": AdversarialDebiasing(0.3)}))
    found += f"; with: {hidden:.3f} {right:.3f} {rest:.3f}"
    assert told > 0.9, found
    assert gap > 0.2, found
    assert hidden < 0.5 + 4 * 0.5 / math.sqrt(800), found  # four standard errors above chance
    assert right > merit, found
    assert abs(rest) < 0.05, found

"""Documents through the command: cut into pieces, trained, resumed, and known better than by the base."""

import json
import random
from typing import Any

from tunesmith.testing.tiny import write_rows

CONFIG = ("--config", "tiny.yaml")
WORDS = ("lamp", "door", "pump", "fan", "gate", "belt", "valve", "bell")


def test_long_documents_train_in_pieces_resume_and_surprise_less(bench: Any) -> None:
    draw = random.Random(1)
    rows = [{"text": " ".join(draw.choices(WORDS, k=draw.choice((20, 200, 400))))} for _ in range(50)]
    write_rows(bench.folder / "rows.jsonl", rows)
    bench.write(
        model={
            "objective": {"class_path": "DomainText", "init_args": {"overlap": 16}},
            "schedule": {"name": "constant"},
        },
        data={
            "sources": {"notes": {"formatter": "RawText"}},
            "split": {"train": 0.4, "validation": 0.1, "test": 0.5, "near_duplicates": None},
            "max_length": 128,
        },
        evaluators={"exact": None},
        success={"perplexity/perplexity": {"at_most": 0.9, "of": "base"}},
        trainer={"val_check_interval": 2},
    )
    shown = bench.done("preview", *CONFIG).out
    assert " pieces, " in shown
    run = bench.fit_whole_and_in_two_parts()
    encoded = json.loads((run / "data.json").read_text())["encoded"]["train"]
    assert encoded["truncated"] == 0
    assert encoded["pieces"] == encoded["rows"] - encoded["examples"] > 10
    tokens = [len(row["text"].split()) for row in rows]
    assert 0 < encoded["supervised"] - encoded["examples"] < 2 * sum(tokens)
    assert encoded["tokens"] > encoded["supervised"] + 16 * encoded["pieces"]
    losses = [float(row["val/loss"]) for row in bench.curve(run) if row["val/loss"]]
    assert losses[-1] < losses[0] - 0.1
    assert "perplexity/perplexity" in bench.done("test", *CONFIG, "--run", str(run)).out


def test_an_overlap_that_leaves_no_room_is_refused_before_training(bench: Any) -> None:
    write_rows(bench.folder / "rows.jsonl", [{"text": "lamp " * 60 + str(n)} for n in range(20)])
    bench.write(
        model={"objective": {"class_path": "DomainText", "init_args": {"overlap": 40}}},
        data={"sources": {"notes": {"formatter": "RawText"}}, "max_length": 64},
        evaluators={"exact": None},
    )
    err = bench.done("fit", *CONFIG, code=2).err
    assert "model.objective.init_args.overlap is 40, but a piece has 64 tokens" in err

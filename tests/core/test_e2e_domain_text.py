"""Documents through the command: cut into pieces, trained, resumed, and known better than by the base."""

import json
import random
from typing import Any

import pytest

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


def masked(bench: Any, **changes: Any) -> None:
    draw = random.Random(1)
    write_rows(bench.folder / "rows.jsonl", [{"text": " ".join(draw.choices(WORDS, k=40))} for _ in range(50)])
    options = {"mask_token": "_", "share": 0.3}
    bench.write(
        **{
            "model": {
                "objective": {"class_path": "MaskedToken", "init_args": options},
                "schedule": {"name": "constant"},
            },
            "data": {
                "sources": {"notes": {"formatter": "RawText"}},
                "split": {"train": 0.4, "validation": 0.1, "test": 0.5, "near_duplicates": None},
            },
            "evaluators": {"exact": None},
            "trainer": {"val_check_interval": 2},
            **changes,
        }
    )


def test_a_decoder_fills_in_masked_tokens_resumes_in_a_later_epoch_and_is_a_plain_decoder_after_it(bench: Any) -> None:
    masked(bench)
    shown = bench.done("preview", *CONFIG).out
    assert "_" in shown.partition("ids ")[0]
    run = bench.fit_whole_and_in_two_parts()  # five steps an epoch, and eight in all
    rows = bench.curve(run)
    assert {row["epoch"] for row in rows} >= {"0", "1"}
    validated = [row for row in rows if row["val/loss"]]
    assert float(validated[-1]["val/loss"]) < float(validated[0]["val/loss"])
    assert all(0 <= float(row["val/accuracy"]) <= 1 for row in validated)
    before = set(bench.runs())
    cut = ("--data.batch_size", "2", "--trainer.accumulate_grad_batches", "2", "--trainer.max_steps", "8")
    bench.done("fit", *CONFIG, *cut, "--trainer.val_check_interval", "1.0")
    (other,) = set(bench.runs()) - before
    losses = [[float(row["loss"]) for row in bench.curve(one) if row["loss"]] for one in (run, other)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    assert "perplexity/perplexity" in bench.done("test", *CONFIG, "--run", str(run)).out
    config = json.loads((run / "adapter/adapter_config.json").read_text())
    assert config["task_type"] == "CAUSAL_LM"


def test_an_encoder_is_trained_and_what_would_ask_it_is_refused_by_name(bench: Any) -> None:
    import torch
    from transformers import BertConfig, BertForMaskedLM, BertTokenizer

    base = bench.folder / "bert"
    base.mkdir()
    (base / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]))
    BertTokenizer(str(base / "vocab.txt")).save_pretrained(base)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    BertForMaskedLM(BertConfig(vocab_size=13, **sizes)).save_pretrained(base)
    recipe = {"base": str(base), "objective": "MaskedToken", "schedule": {"name": "constant"}}
    masked(bench, model=recipe)
    err = bench.done("fit", *CONFIG, code=2).err
    assert "evaluators.perplexity asks the model, but BertForMaskedLM fills in what is masked" in err
    masked(bench, model=recipe, evaluators={"exact": None, "perplexity": None})
    out = bench.done("fit", *CONFIG).out
    assert "ragged: BertForMaskedLM keeps packed documents apart" in out
    (run,) = bench.runs()
    losses = [float(row["val/loss"]) for row in bench.curve(run) if row["val/loss"]]
    assert losses[-1] < losses[0]
    err = bench.done("predict", *CONFIG, "--prompt", "lamp", code=2).err
    assert "BertForMaskedLM fills in what is masked, and neither answers nor scores texts" in err

"""What passes hold on long documents, by the kernels of the device that is asked about."""

from contextlib import nullcontext
from typing import Any

import pytest
import torch

from tunesmith.cli.arguments import parse
from tunesmith.cli.fit import prepare_data
from tunesmith.cli.quiet import quieten
from tunesmith.cli.trainer_cli import Session, open_session, sections
from tunesmith.data.collate import collate
from tunesmith.training.as_written import as_written
from tunesmith.training.probing import _stretched, _timeline, pass_footprint, size_of
from tunesmith.training.specialist import Specialist

CONFIG = ("--config", "tiny.yaml")


def opened(*words: str) -> Session:
    quieten()
    session = open_session(parse("preview", [*CONFIG, *words], list(sections())))
    prepare_data(session, None)
    return session


@pytest.mark.parametrize("on", [False, True], ids=["kept", "checkpointing"])
@pytest.mark.parametrize("gpu", [False, True], ids=["here", "gpu"])
def test_a_long_document_holds_what_small_ones_foretell(bench: Any, on: bool, gpu: bool) -> None:
    session = opened("--model.precision=bf16", f"--model.gradient_checkpointing={str(on).lower()}")
    model, row = session.model, session.data.encoded("train").rows[0]
    found = pass_footprint(model, row, on_gpu=gpu)
    for documents, length in ((1, 4000), (2, 1000), (2, 500), (8, 100)):
        rows = [_stretched(row, length, 20)] * documents
        with as_written(model.network) if gpu else nullcontext():
            counted = max(_timeline(model, collate(rows)))
        # on a CPU, documents of up to 768 tokens hold less than SDPA's
        within = 0.01 if gpu or length > 768 else 0.12
        assert found.peak(size_of(rows, model.layout)) == pytest.approx(counted, rel=within), (documents, length)


def functions(model: Specialist, batch: Any) -> set[str]:
    """Names of the derivatives that a pass leaves behind."""
    seen, todo = set(), [term.sum.grad_fn for term in model.terms(model.passes(batch)).values()]
    while todo:
        node = todo.pop()
        if node is not None and node not in seen:
            seen.add(node)
            todo += [following for following, _ in node.next_functions]
    return {node.name() for node in seen}


def test_a_gpus_passes_are_those_that_the_libraries_wrote(bench: Any) -> None:
    session = opened("--model.precision=bf16")
    model, row = session.model, session.data.encoded("train").rows[0]
    batch = collate([_stretched(row, 40, 20)])
    ours = {"_CausalBackward", "_NormBackward", "_RotatedBackward", "_SharedBackward", "_GatedBackward"}
    ours |= {"_AdaptedBackward"}
    before = functions(model, batch)
    assert ours - before <= {"_AdaptedBackward"}
    with as_written(model.network):
        assert not ours & functions(model, batch)
    assert functions(model, batch) == before


def test_what_is_asked_about_a_gpu_leaves_the_model_as_it_was(bench: Any) -> None:
    session = opened("--model.precision=bf16")
    model, row = session.model, session.data.encoded("train").rows[0]
    batch = collate([_stretched(row, 40, 20)])
    first = model.terms(model.passes(batch))["loss"].sum
    with pytest.raises(RuntimeError, match="stop"), as_written(model.network):
        raise RuntimeError("stop")
    assert torch.equal(model.terms(model.passes(batch))["loss"].sum, first)

"""What passes hold on long documents, by the kernels of the device that is asked about."""

from typing import Any

import pytest

from tunesmith.cli import gpu_fit
from tunesmith.cli.arguments import parse
from tunesmith.cli.fit import prepare_data
from tunesmith.cli.quiet import quieten
from tunesmith.cli.trainer_cli import Session, open_session, sections
from tunesmith.data.collate import collate
from tunesmith.training import probing
from tunesmith.training.probing import _stretched, _timeline, pass_footprint, size_of
from tunesmith.training.specialist import Specialist

CONFIG = ("--config", "tiny.yaml")


def opened(*words: str) -> Session:
    quieten()
    session = open_session(parse("preview", [*CONFIG, *words], list(sections())))
    prepare_data(session, None)
    return session


@pytest.mark.parametrize("on", [False, True], ids=["kept", "checkpointing"])
@pytest.mark.parametrize("kernels", ["auto", "plain"], ids=["here", "gpu"])
def test_a_long_document_holds_what_small_ones_foretell(bench: Any, on: bool, kernels: str) -> None:
    words = (f"--model.kernels={kernels}", f"--model.gradient_checkpointing={str(on).lower()}")
    session = opened("--model.precision=bf16", *words)
    model, row = session.model, session.data.encoded("train").rows[0]
    found = pass_footprint(model, row)
    for documents, length in ((1, 4000), (2, 1000), (2, 500), (8, 100)):
        rows = [_stretched(row, length, 20)] * documents
        counted = max(_timeline(model, collate(rows)))
        # on a CPU, documents of up to 768 tokens hold less than SDPA's
        within = 0.01 if kernels == "plain" or length > 768 else 0.12
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


def test_what_is_asked_about_a_gpu_is_counted_by_what_runs_there(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = {"_CausalBackward", "_NormBackward", "_SharedBackward", "_GatedBackward", "_AdaptedBackward"}
    met: list[set[str]] = []
    real = probing.pass_footprint

    def noting(model: Specialist, row: Any, **options: Any) -> Any:
        met.append(functions(model, collate([_stretched(row, 40, 20)])))
        return real(model, row, **options)

    monkeypatch.setattr(gpu_fit, "pass_footprint", noting)
    out = bench.done("preview", *CONFIG, "--examples=0", "--gpu=24", "--model.adapter=LoRA").out
    assert "layers of transformers and peft (ours gain on CPUs)" in out
    assert met
    assert not any(ours & names for names in met)
    session = opened("--model.precision=bf16", "--model.adapter=LoRA")
    row = session.data.encoded("train").rows[0]
    assert ours <= functions(session.model, collate([_stretched(row, 40, 20)]))

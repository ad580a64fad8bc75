"""Tiny models of transformers with the embedded base's tokenizer, for tests of objectives."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import transformers

from tunesmith import Adapter, Example, Objective
from tunesmith.data.collate import collate
from tunesmith.data.encode import encode_split
from tunesmith.training.attention import plain_attention
from tunesmith.training.specialist import Specialist

TOKENIZER = Path(__file__).parents[2] / "plugins/tunesmith_plugins/bases/tiny-mistral"


def write_base(directory: Path, config: transformers.PretrainedConfig | None = None) -> str:
    """Write a random decoder of one layer, 32 wide, with large weights, so that nothing is as likely as all else."""
    torch.manual_seed(0)
    config = config or transformers.MistralConfig(
        vocab_size=4096,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        initializer_range=0.3,
    )
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(directory)
    transformers.AutoTokenizer.from_pretrained(TOKENIZER).save_pretrained(directory)
    return str(directory)


def moved(base: str, objective: Objective, adapter: Adapter, **options: Any) -> Specialist:
    """A model whose trained weights are away from where they began, in evaluation mode."""
    torch.manual_seed(1)
    module = Specialist(base, objective, adapter, precision="fp32", **options)
    module.load()
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter += 0.1 * torch.randn_like(parameter)
    return module.eval()


def batch_of(module: Specialist, examples: list[Example], *, tokens: int | None = None) -> Any:
    """One micro-batch of all examples."""
    return collate(list(encode_split(examples, module.objective, module.renderer, tokens).rows))


def logprobs(model: Any, batch: Any) -> list[torch.Tensor]:
    """Of each sequence, what the model's own forward says of its supervised tokens when it is alone."""
    found = []
    for start, end in pairwise(batch.cu_seqlens.tolist()):
        ids, weights = batch.input_ids[start:end], batch.loss_weights[start:end]
        with plain_attention(model):
            table = model(input_ids=ids[None]).logits[0].float().log_softmax(-1)
        learned = weights.nonzero()[:, 0]
        found.append(table[learned - 1, ids[learned]])
    return found


def gradients(module: Specialist, loss: torch.Tensor) -> list[torch.Tensor]:
    """Of what trains, in order."""
    trained = [p for p in module.parameters() if p.requires_grad]
    found = torch.autograd.grad(loss, trained, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(trained, found, strict=True)]


def in_small_chunks(module: Specialist, tokens: int = 3) -> Any:
    """Its passes, with the logits of a few tokens in memory at a time."""
    size = tokens * 4 * module.passes.model.config.vocab_size
    base = module.passes.base
    smaller = None if base is None else lambda: replace(base(), logits_bytes=size)
    return replace(module.passes, logits_bytes=size, base=smaller)


def with_ids(batch: Any, ids: torch.Tensor) -> Any:
    """The batch with other tokens."""
    return replace(batch, input_ids=ids)

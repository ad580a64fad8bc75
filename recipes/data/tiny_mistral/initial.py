"""Write the first weights of the embedded base: random, except for a wired beginning of copying.

    python recipes/data/tiny_mistral/initial.py --base FOLDER_WITH_CONFIG_AND_TOKENIZER --out FOLDER

A small transformer needs long to find out that it can look back: find where the current piece stood before, and say
what came next. After half a million tokens, ours had not begun, and two cores have little time. So the first
two layers start with a sketch of this circuit, drawn from nothing but random projections. It knows
no word, and training changes every weight of it.

Layer 0 tells each position which pieces stood one and two places before. Layer 1 compares: where was the piece that I
hold now the previous one? It then adds what it finds there, and takes away the piece that it holds already.

The stream of 256 numbers is divided for this at the start, and only then: `CONTENT` holds the piece itself, `BEFORE`
and `TWO_BEFORE` the previous ones, and the last number is the same everywhere, because a head that looks at places
needs something that does not depend on the piece.
"""

import argparse
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

CONTENT = slice(0, 175)
BEFORE = slice(175, 223)
TWO_BEFORE = slice(223, 255)
CONSTANT = 255
HEAD = 64
HALF = HEAD // 2
# Rotary pairs that turn fast tell places apart; those that turn slowly can compare content over 100 tokens.
FAST = range(10)
SLOW = range(14, HALF)
MATCHED, MATCHED_BEFORE = 24, 12
EMBEDDING = 0.05
STEADY = 4.0


def orthonormal(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """Random directions, at right angles to each other."""
    square = torch.randn(columns, columns, generator=generator)
    directions: Tensor = torch.linalg.qr(square).Q[:rows]
    return directions


def looks_back(places: float, strength: float, theta: float) -> Tensor:
    """The constant part of a query whose best key is that many places before."""
    query = torch.zeros(HEAD)
    for pair in FAST:
        angle = torch.tensor(-places * theta ** (-pair / HALF))
        query[pair], query[pair + HALF] = strength * angle.cos(), strength * angle.sin()
    return query


def wire(model: Any, generator: torch.Generator) -> None:
    """Draw the circuit into the first two layers."""
    width, theta = model.config.hidden_size, float(model.config.rope_parameters["rope_theta"])
    embedding = model.model.embed_tokens.weight
    embedding.normal_(0.0, EMBEDDING, generator=generator)
    embedding[:, CONTENT.stop :] = 0.0
    embedding[:, CONSTANT] = STEADY * EMBEDDING
    # A difference of one place lowers a score by 1.1 times the product of these two, divided by the root of 64.
    strength = 6.5 / STEADY
    names = orthonormal(HEAD, CONTENT.stop, generator)
    slow = [*SLOW, *(pair + HALF for pair in SLOW)]

    first = model.model.layers[0].self_attn
    first.k_proj.weight[:HEAD, CONSTANT] = looks_back(0, strength, theta)
    first.q_proj.weight[:HEAD, CONSTANT] = looks_back(1, strength, theta)
    first.q_proj.weight[HEAD : 2 * HEAD, CONSTANT] = looks_back(2, strength, theta)
    first.v_proj.weight[:HEAD, CONTENT] = names
    for head, place in ((0, BEFORE), (1, TWO_BEFORE)):
        size = place.stop - place.start
        first.o_proj.weight[place, head * HEAD : head * HEAD + size] = EMBEDDING * torch.eye(size)

    second = model.model.layers[1].self_attn
    found = orthonormal(2 * HEAD, CONTENT.stop, generator)
    for group in range(2):
        key = second.k_proj.weight[group * HEAD : (group + 1) * HEAD]
        match = second.q_proj.weight[2 * group * HEAD : (2 * group + 1) * HEAD]
        own = second.q_proj.weight[(2 * group + 1) * HEAD : (2 * group + 2) * HEAD]
        rows, more = slow[:MATCHED], slow[MATCHED : MATCHED + MATCHED_BEFORE]
        start = group * MATCHED
        match[rows, CONTENT] = 2.6 * names[start : start + MATCHED]
        match[more, BEFORE] = 1.7 * torch.eye(BEFORE.stop - BEFORE.start)[:MATCHED_BEFORE]
        key[rows, BEFORE] = 2.6 * torch.eye(BEFORE.stop - BEFORE.start)[start : start + MATCHED]
        key[more, TWO_BEFORE] = 1.7 * torch.eye(TWO_BEFORE.stop - TWO_BEFORE.start)[:MATCHED_BEFORE]
        key[:, CONSTANT] += looks_back(0, strength, theta)
        own[:, CONSTANT] += looks_back(0, 2.0 * strength, theta)
        value = found[group * HEAD : (group + 1) * HEAD]
        second.v_proj.weight[group * HEAD : (group + 1) * HEAD, CONTENT] = value
        columns = slice(2 * group * HEAD, (2 * group + 1) * HEAD)
        second.o_proj.weight[CONTENT, columns] = 2.0 * EMBEDDING * value.T
        columns = slice((2 * group + 1) * HEAD, (2 * group + 2) * HEAD)
        second.o_proj.weight[CONTENT, columns] = -EMBEDDING * value.T
    assert width == CONSTANT + 1


def initialise(base: Path, target: Path, seed: int) -> None:
    """Draw all weights, wire the first two layers, and save a base that can be loaded."""
    from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    factory: Any = AutoModelForCausalLM
    model = factory.from_config(AutoConfig.from_pretrained(base), dtype=torch.float32)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim == 2:
                wired = "_proj" in name and "attn" in name and (".0." in name or ".1." in name)
                # What writes into the stream starts smaller than what reads from it.
                writes = name.endswith(("o_proj.weight", "down_proj.weight"))
                weight.normal_(0.0, 0.005 if wired else 0.002 if writes else 0.04, generator=generator)
        wire(model, generator)
    target.mkdir(parents=True, exist_ok=True)
    model.generation_config = GenerationConfig.from_pretrained(base)  # an answer ends at the turn's end as well
    model.save_pretrained(target)
    for file in base.iterdir() if base.resolve() != target.resolve() else ():
        if file.name not in ("model.safetensors", "config.json") and file.is_file():
            shutil.copy(file, target / file.name)


def main() -> None:
    """Read the command line and do the work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--base", type=Path, required=True, help="folder with config and tokenizer")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    initialise(arguments.base, arguments.out, arguments.seed)


if __name__ == "__main__":
    main()

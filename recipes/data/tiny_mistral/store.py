"""Store the trained base in 16 bit where the package keeps it.

python recipes/data/tiny_mistral/store.py --run RUN --out plugins/tunesmith_plugins/bases/tiny-mistral
"""

import argparse
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

FIRST = Path(__file__).parent / "initial"


def main() -> None:
    """Read the command line and do the work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    model = AutoModelForCausalLM.from_pretrained(arguments.run / "adapter", dtype=torch.bfloat16)
    model.generation_config = GenerationConfig.from_pretrained(FIRST)
    model.save_pretrained(arguments.out)
    AutoTokenizer.from_pretrained(FIRST).save_pretrained(arguments.out)


if __name__ == "__main__":
    main()

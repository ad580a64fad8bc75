"""Train the tokenizer of the embedded base, and write it with the model's configuration.

python recipes/data/tiny_mistral/tokenizer.py --out plugins/tunesmith_plugins/bases/tiny-mistral
"""

import argparse
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
VOCABULARY = 4096
BOS, EOS, PAD, END = "<s>", "</s>", "<pad>", "<|end|>"
ROLES = ["<|system|>", "<|user|>", "<|assistant|>"]
SPECIAL = [BOS, EOS, PAD, *ROLES, END]

# One token opens a turn and one closes it. Only what the assistant writes, its end included, is marked as generated.
TEMPLATE = (
    "{{- bos_token }}"
    "{%- for message in messages %}"
    "{%- if message['role'] == 'assistant' %}"
    "{{- '<|assistant|>' }}{% generation %}{{- message['content'] + '<|end|>' }}{% endgeneration %}"
    "{%- elif message['role'] in ['system', 'user'] %}"
    "{{- '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{%- else %}{{- raise_exception('unknown role: ' + message['role']) }}"
    "{%- endif %}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|assistant|>' }}{% endif %}"
)


def corpus(folder: Path, rows: int) -> Iterator[str]:
    """The first rows of both files. Invented words are in there as well, so that their syllables become pieces."""
    with (folder / "text.jsonl").open(encoding="utf-8") as file:
        for line in islice(file, rows):
            yield json.loads(line)["text"]
    with (folder / "tasks.jsonl").open(encoding="utf-8") as file:
        for line in islice(file, rows):
            yield from (message["content"] for message in json.loads(line)["messages"])


def save_tokenizer(text: Iterator[str], target: Path) -> None:
    """Train byte-pair encoding and save it with its chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    # Single digits: a number is then copied like a word, and 1204 is no stranger than 12.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(text, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
    )
    wrapper: Any = PreTrainedTokenizerFast
    fast = wrapper(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        additional_special_tokens=[*ROLES, END],
        model_max_length=2048,
        clean_up_tokenization_spaces=False,
        padding_side="right",
    )
    fast.chat_template = TEMPLATE
    fast.save_pretrained(target)


def save_config(target: Path) -> None:
    """Write `config.json` and `generation_config.json`."""
    from transformers import GenerationConfig, MistralConfig

    ids = {token: number for number, token in enumerate(SPECIAL)}
    MistralConfig(
        architectures=["MistralForCausalLM"],
        vocab_size=VOCABULARY,
        hidden_size=256,
        intermediate_size=640,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=64,
        tie_word_embeddings=True,
        max_position_embeddings=2048,
        rope_parameters={"rope_theta": 10000.0, "rope_type": "default"},
        sliding_window=None,
        bos_token_id=ids[BOS],
        eos_token_id=ids[EOS],
        pad_token_id=ids[PAD],
        dtype="bfloat16",
    ).save_pretrained(target)
    generation: Any = GenerationConfig
    generation(
        bos_token_id=ids[BOS], eos_token_id=[ids[END], ids[EOS]], pad_token_id=ids[PAD], do_sample=False
    ).save_pretrained(target)


def main() -> None:
    """Read the command line and do the work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE, help="folder with text.jsonl and tasks.jsonl")
    parser.add_argument("--rows", type=int, default=20_000, help="rows to read of each file")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    save_tokenizer(corpus(arguments.data, arguments.rows), arguments.out)
    save_config(arguments.out)


if __name__ == "__main__":
    main()

"""Makes the model beside it: `python plugins/tunesmith_plugins/evaluators/entailment_trial/make.py`."""

import string
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

HERE = Path(__file__).parent


def main() -> None:
    """Write a random transformer of one layer, which reads a pair of texts letter by letter."""
    characters = string.ascii_lowercase + string.digits
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *characters, *(f"##{one}" for one in characters)]
    word_piece = models.WordPiece(vocab={name: at for at, name in enumerate(names)}, unk_token="[UNK]")  # noqa: S106
    tokenizer = Tokenizer(word_piece)
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    fast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        unk_token="[UNK]",  # noqa: S106
        pad_token="[PAD]",  # noqa: S106
        model_max_length=64,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )
    fast.save_pretrained(HERE)
    torch.manual_seed(7)
    labels = ["contradiction", "entailment", "neutral"]
    config = BertConfig(
        vocab_size=len(names),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=64,
        initializer_range=0.5,
        id2label=dict(enumerate(labels)),
        label2id={label: at for at, label in enumerate(labels)},
    )
    BertForSequenceClassification(config).save_pretrained(HERE)


if __name__ == "__main__":
    main()

"""Makes the static model beside it: `python plugins/tunesmith_plugins/curators/embedding/letters/make.py`."""

import json
import string
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

HERE = Path(__file__).parent


def main() -> None:
    """Give each letter and digit a random direction; what holds none of them is unknown."""
    characters = string.ascii_lowercase + string.digits
    names = ["[UNK]", *characters, *(f"##{one}" for one in characters)]
    word_piece = models.WordPiece(vocab={name: at for at, name in enumerate(names)}, unk_token="[UNK]")  # noqa: S106
    tokenizer = Tokenizer(word_piece)
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.save(str(HERE / "tokenizer.json"))
    drawn = np.random.default_rng(7).normal(size=(len(characters), 16)).astype(np.float32)
    vectors = np.concatenate([np.zeros((1, 16), np.float32), drawn, drawn])
    save_file({"embeddings": vectors}, HERE / "model.safetensors")
    config = {"model_type": "model2vec", "architectures": ["StaticModel"], "normalize": True, "hidden_dim": 16}
    (HERE / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

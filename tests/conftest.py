"""One OpenMP thread a test worker, and no hub: spinning threads on busy cores cost a factor of 50."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

os.environ.update(
    {
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "MKL_NUM_THREADS": "1",
    }
)


# What Lightning's launcher leaves in the environment of a process that trains under DDP or FSDP2, even alone.
_RANKS = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE", "TUNESMITH_RUN_DIRECTORY")


@pytest.fixture(autouse=True)
def no_ranks_left() -> Iterator[None]:
    """A test that trains in this process must not make the next one's commands wait for processes that never come."""
    yield
    for name in _RANKS:
        os.environ.pop(name, None)


@pytest.fixture(autouse=True)
def no_amx(monkeypatch: pytest.MonkeyPatch) -> None:
    """`precision: auto` is fp32 in tests, whatever processor they run on."""
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: False)


@pytest.fixture(scope="session")
def write_gguf() -> Callable[..., None]:
    """`(path, base, packed=False)`: a GGUF file of a Llama's weights, by the package `gguf` alone; no chat template."""

    def write(path: Path, base: Path | str, packed: bool = False) -> None:
        gguf = pytest.importorskip("gguf")
        import transformers

        model = transformers.AutoModelForCausalLM.from_pretrained(base)
        tokenizer, config = transformers.AutoTokenizer.from_pretrained(base), model.config
        writer = gguf.GGUFWriter(path, "llama")
        writer.add_context_length(config.max_position_embeddings)
        writer.add_embedding_length(config.hidden_size)
        writer.add_block_count(config.num_hidden_layers)
        writer.add_feed_forward_length(config.intermediate_size)
        writer.add_head_count(config.num_attention_heads)
        writer.add_head_count_kv(config.num_key_value_heads)
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
        writer.add_rope_freq_base(10000.0)
        writer.add_vocab_size(config.vocab_size)
        vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
        writer.add_tokenizer_model("gpt2")
        writer.add_token_list([token for token, _ in vocabulary])
        writer.add_token_types([1] * len(vocabulary))
        writer.add_token_merges(["a b"])
        writer.add_bos_token_id(tokenizer.bos_token_id)
        writer.add_eos_token_id(tokenizer.eos_token_id)
        names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
        width = config.hidden_size
        for name, tensor in model.state_dict().items():
            stem, _, suffix = name.rpartition(".")
            array = tensor.numpy()
            if stem.endswith(("q_proj", "k_proj")):  # GGUF interleaves the two halves of rotary pairs
                half = width // config.num_attention_heads // 2
                array = array.reshape(-1, 2, half, width).swapaxes(1, 2).reshape(array.shape)
            kind = gguf.GGMLQuantizationType.Q8_0 if packed and array.ndim == 2 else None
            values = array if kind is None else gguf.quants.quantize(array, kind)
            writer.add_tensor(f"{names.get_name(stem)}.{suffix}", values, raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()

    return write

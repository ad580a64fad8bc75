"""Decodes batches of prompts so that each row gets what it would get alone."""

import hashlib
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from tunesmith.data.example import Message
from tunesmith.errors import DataError, RecipeError
from tunesmith.evaluation.generation import Generation
from tunesmith.evaluation.kv_cache import growing_cache
from tunesmith.evaluation.measure import Timing
from tunesmith.evaluation.scoring import TOKENS_AT_ONCE, Progress, device_of, pad_rows
from tunesmith.plugins.interfaces import Renderer
from tunesmith.training.attention import language_model


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said.

    Args:
        text: The answer, without special tokens and without the text that stopped it.
        stopped: Whether it ended by itself, rather than at `generation.max_new_tokens`.
        tokens: Number of tokens that were generated, the end of the turn included.
        prompt: Number of tokens of the prompt; 0 where nobody says.
    """

    text: str
    stopped: bool
    tokens: int
    prompt: int = 0


def stop_ids(network: nn.Module, tokenizer: Any, renderer: Renderer) -> list[int]:
    """Ids that end an answer: EOS of tokenizer and model, and the special tokens that close the template's turns."""
    ids: set[int] = set()
    config = language_model(network).generation_config
    for source in (tokenizer.eos_token_id, getattr(config, "eos_token_id", None)):
        if source is not None:
            ids.update(source if isinstance(source, list | tuple) else [source])
    try:
        turn = renderer.conversation([Message("user", "a"), Message("assistant", "b")])
    except RecipeError:
        # no template, as of bases that only go on with texts; a prompt that needs one was refused before
        return sorted(ids)
    trained = [token for token, weight in zip(turn.ids, turn.weights, strict=True) if weight != 0]
    # Llama-3's <|eot_id|> is special among the added tokens, and has no name by which `all_special_ids` would list it.
    special = {*tokenizer.all_special_ids, *(at for at, one in tokenizer.added_tokens_decoder.items() if one.special)}
    # What training supervises behind the answer is what a tuned model has learned to stop with; of several tokens, such
    # as Phi-3's <|end|> and, behind a line break, <|endoftext|>, the first that comes.
    closing = takewhile(lambda at: at in special or not tokenizer.decode([at]).strip(), reversed(trained))
    ids.update(at for at in closing if at in special)
    return sorted(ids)


def decode(
    network: nn.Module,
    tokenizer: Any,
    prompts: Sequence[Sequence[int]],
    ends: Sequence[int],
    generation: Generation,
    seeds: Sequence[int],
    progress: Progress | None = None,
) -> list[Answer]:
    """Answer every prompt.

    Batches hold prompts of similar length, padded on the left (trap 32: on the right, answers differ from those
    to single prompts). A prompt that leaves less room in the context than `max_new_tokens` goes alone.

    Args:
        network: A causal model in evaluation mode with plain attention.
        tokenizer: Its tokenizer.
        prompts: Token ids of each prompt.
        ends: Ids that end an answer.
        generation: How to decode.
        seeds: Of each prompt, see `row_seeds`, where tokens are sampled.
        progress: Called with the prompts done and their number.

    Raises:
        DataError: A prompt fills the base's whole context.
    """
    limit = check_room(network, prompts)
    answers: dict[int, Answer] = {}
    for batch, room in _batches(prompts, generation, limit):
        rows = [prompts[i] for i in batch]
        own = [seeds[i] for i in batch]
        said = _decode_batch(network, tokenizer, rows, ends, generation, room, own)
        answers |= dict(zip(batch, said, strict=True))
        if progress is not None:
            progress(len(answers), len(prompts))
    return [answers[i] for i in range(len(prompts))]


def check_room(network: nn.Module, prompts: Sequence[Sequence[int]]) -> int | None:
    """Check that the base's context has room for an answer to every prompt; returns its length, None if it has no end.

    Raises:
        DataError: A prompt fills it.
    """
    limit: int | None = getattr(language_model(network).config, "max_position_embeddings", None)
    for number, prompt in enumerate(prompts, start=1):
        if limit is not None and len(prompt) >= limit:
            msg = (
                f"prompt {number} has {len(prompt)} tokens and leaves no room to answer: the base reads {limit}; "
                "shorten the prompt or take a base with a longer context"
            )
            raise DataError(msg)
    return limit


def _batches(
    prompts: Sequence[Sequence[int]], generation: Generation, limit: int | None
) -> Iterator[tuple[list[int], int]]:
    wanted = generation.max_new_tokens
    roomy: list[int] = []
    for i in sorted(range(len(prompts)), key=lambda i: len(prompts[i])):
        room = wanted if limit is None else limit - len(prompts[i])
        if room < wanted:
            yield [i], room
            continue
        longest = len(prompts[i]) + wanted  # this one's: they come by length
        if roomy and (len(roomy) == generation.batch_size or (len(roomy) + 1) * longest > TOKENS_AT_ONCE):
            yield roomy, wanted
            roomy = []
        roomy.append(i)
    if roomy:
        yield roomy, wanted


def _decode_batch(
    network: nn.Module,
    tokenizer: Any,
    rows: Sequence[Sequence[int]],
    ends: Sequence[int],
    generation: Generation,
    room: int,
    seeds: Sequence[int],
    watch: StoppingCriteria | None = None,
) -> list[Answer]:
    pad = next((i for i in (tokenizer.pad_token_id, *ends) if i is not None), 0)
    ids, mask = pad_rows(rows, pad, left=True, device=device_of(network))
    width = ids.shape[1]
    config = GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=room, do_sample=False, use_cache=True, pad_token_id=pad, eos_token_id=list(ends) or None
    )
    stop = StopTexts(tokenizer, generation.stop, width) if generation.stop else None
    noise = RowSampling(seeds, generation.temperature, width) if generation.temperature > 0 else None
    with _own_defaults(network), growing_cache(network):
        out: Tensor = network.generate(  # type: ignore[operator]
            input_ids=ids,
            attention_mask=mask,
            generation_config=config,
            stopping_criteria=StoppingCriteriaList([one for one in (stop, watch) if one is not None]),
            logits_processor=LogitsProcessorList([noise] if noise else []),
        )
    return [_answer(tokenizer, row, ends, generation.stop) for row in out[:, width:].tolist()]


def time_alone(
    network: nn.Module,
    tokenizer: Any,
    prompt: Sequence[int],
    ends: Sequence[int],
    generation: Generation,
    seed: int,
) -> Timing:
    """Answer one prompt alone and take the time; args as `decode`.

    Raises:
        DataError: The prompt fills the base's whole context.
    """
    limit = check_room(network, [prompt])
    ((_, room),) = _batches([prompt], generation, limit)
    watch = FirstToken(device_of(network))
    processor, begin = time.process_time(), time.perf_counter()
    (answer,) = _decode_batch(network, tokenizer, [prompt], ends, generation, room, [seed], watch)
    seconds = time.perf_counter() - begin
    return Timing(watch.at - begin, seconds, time.process_time() - processor, answer.tokens)


class FirstToken(StoppingCriteria):
    """Notes when the first token is there; ends nothing."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.at = 0.0

    def __call__(self, input_ids: Tensor, scores: Tensor, **kwargs: Any) -> Tensor:
        """No row is done, `[n]`."""
        if not self.at:
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            self.at = time.perf_counter()
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


def _answer(tokenizer: Any, ids: list[int], ends: Sequence[int], stops: Sequence[str]) -> Answer:
    end = next((k for k, token in enumerate(ids) if token in ends), None)
    said = ids[:end]
    text: str = _text(tokenizer, said)
    found = [place for stop in stops if (place := text.find(stop)) >= 0]
    if found:
        # Rows that stop early are filled up with padding, which is not part of what was generated.
        said = next(ids[:k] for k in range(1, len(said) + 1) if any(s in _text(tokenizer, ids[:k]) for s in stops))
        return Answer(text[: min(found)], stopped=True, tokens=len(said))
    return Answer(text, stopped=end is not None, tokens=len(said) + (end is not None))


def _text(tokenizer: Any, ids: Sequence[int]) -> str:
    text: str = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return text


class StopTexts(StoppingCriteria):
    """Ends a row when a text has appeared in what it generated, never in its prompt."""

    def __init__(self, tokenizer: Any, texts: Sequence[str], width: int) -> None:
        self.tokenizer = tokenizer
        self.texts = texts
        self.width = width

    def __call__(self, input_ids: Tensor, scores: Tensor, **kwargs: Any) -> Tensor:
        """Which rows are done, `[n]`."""
        texts = [_text(self.tokenizer, row) for row in input_ids[:, self.width :].tolist()]
        done = [any(stop in text for stop in self.texts) for text in texts]
        return torch.tensor(done, dtype=torch.bool, device=input_ids.device)


class RowSampling(LogitsProcessor):
    """Samples by adding Gumbel noise before the argmax (Gumbel-max trick; Maddison et al., 2014, arXiv:1411.0030).

    Each row draws from a generator of its own, so that its answer depends neither on the batch nor on the order.
    """

    def __init__(self, seeds: Sequence[int], temperature: float, width: int) -> None:
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.temperature = temperature
        self.width = width

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores `[n, vocabulary]` whose argmax is a draw from their softmax."""
        noise = [torch.empty(scores.shape[1]).exponential_(generator=g).log().neg() for g in self.generators]
        return scores.float() / self.temperature + torch.stack(noise).to(scores.device)


def row_seeds(prompts: Sequence[Sequence[int]], seed: int) -> list[int]:
    """A seed per prompt, by its content and by how often it came before."""
    seen: Counter[tuple[int, ...]] = Counter()
    seeds = []
    for prompt in map(tuple, prompts):
        digest = hashlib.sha256(repr((seed, seen[prompt], prompt)).encode()).digest()
        seeds.append(int.from_bytes(digest[:7], "big"))
        seen[prompt] += 1
    return seeds


@contextmanager
def _own_defaults(network: nn.Module) -> Iterator[None]:
    """`generate` fills what a config leaves open from the model's own, which may hold a temperature or a penalty."""
    models: list[Any] = [network, language_model(network)]
    before = [(model, model.generation_config) for model in models if hasattr(model, "generation_config")]
    try:
        for model, _ in before:
            model.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]
        yield
    finally:
        for model, config in before:
            model.generation_config = config

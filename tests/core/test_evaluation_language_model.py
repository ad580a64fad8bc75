"""Answers and log-probabilities of a tiny random model against loops that decode and score one row at a time."""

import math
import random
import weakref
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor, nn
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tunesmith import Adapter, DataError, Encoded, Message, RecipeError, Segment
from tunesmith.evaluation import language_model, scoring
from tunesmith.evaluation.decoding import RowSampling
from tunesmith.evaluation.generation import Generation
from tunesmith.evaluation.known import Known
from tunesmith.evaluation.language_model import TransformersModel
from tunesmith.training.attention import RAGGED

CONTEXT = 160
SPECIAL = ["<pad>", "<s>", "</s>", "<|user|>", "<|assistant|>", "<|end|>"]


def bytes_tokenizer() -> PreTrainedTokenizerFast:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate([*SPECIAL, *letters])}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, special=True) for t in SPECIAL])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        additional_special_tokens=SPECIAL[3:],
    )


class PlainRenderer:
    """`<s><|user|>text<|end|><|assistant|>text<|end|>`; an assistant turn's text and end are supervised."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self.tokenizer = tokenizer

    def conversation(self, messages: Sequence[Message], tools: Sequence[Any] = ()) -> Encoded:
        ids, weights = [self._id("<s>")], [0.0]
        for turn in messages:
            weight = turn.weight if turn.weight is not None else float(turn.role == "assistant")
            said = [*self._ids(turn.content), self._id("<|end|>")]
            ids += [self._id(f"<|{turn.role}|>"), *said]
            weights += [0.0, *[weight] * len(said)]
        return Encoded(tuple(ids), tuple(weights))

    def prompt(self, messages: Sequence[Message], tools: Sequence[Any] = ()) -> Encoded:
        ids = (*self.conversation(messages).ids, self._id("<|assistant|>"))
        return Encoded(ids, (0.0,) * len(ids))

    def text(self, pieces: Sequence[tuple[str, float]], end: bool = True) -> Encoded:
        ids, weights = [self._id("<s>")], [0.0]
        for text, weight in [*pieces, *([("</s>", 1.0)] if end else [])]:
            part = self._ids(text)
            ids, weights = ids + part, weights + [weight] * len(part)
        return Encoded(tuple(ids), tuple(weights))

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _id(self, token: str) -> int:
        return int(self.tokenizer.convert_tokens_to_ids(token))


class Untouched(Adapter):
    """Trains everything, and so cannot be switched off."""

    switchable = False

    def attach(self, model: nn.Module) -> nn.Module:
        return model

    def save(self, model: nn.Module, directory: Any) -> None: ...
    def load(self, model: nn.Module, directory: Any) -> None: ...


class SwitchedLoRA(Untouched):
    switchable = True

    @contextmanager
    def without(self, model: Any) -> Iterator[None]:
        with model.disable_adapter():
            yield


@dataclass
class TinySpecialist:
    network: Any
    tokenizer: Any
    renderer: Any
    adapter: Adapter
    copy: Any = None
    passes: list[str] = field(default_factory=list)

    def autocast(self) -> AbstractContextManager[None]:
        self.passes.append("autocast")
        return torch.autocast("cpu", enabled=False)

    def compared_network(self) -> nn.Module | None:
        return self.copy


def tiny_llama(seed: int, vocabulary: int, **options: Any) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        initializer_range=0.3,  # large, so that no two logits are close
        attention_dropout=0.2,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        **options,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        model.lm_head.weight[5] *= 4  # `<|end|>` now and then, and other special tokens never
        model.lm_head.weight[[0, 1, 3, 4]] = 0
    return model


@pytest.fixture
def tiny() -> TinySpecialist:
    tokenizer = bytes_tokenizer()
    return TinySpecialist(tiny_llama(0, len(tokenizer)), tokenizer, PlainRenderer(tokenizer), Untouched())


def ask(text: str) -> list[Message]:
    return [Message("user", text)]


def prompts_of_lengths(lengths: Sequence[int], seed: int = 0) -> list[list[Message]]:
    draw = random.Random(seed)
    return [ask("".join(draw.choices("abcdefgh ijkl", k=length))) for length in lengths]


def greedy_alone(specialist: TinySpecialist, prompt: Sequence[Message], most: int, ends: set[int]) -> tuple[str, bool]:
    """One row, no cache, no padding: the argmax of a whole forward pass at every step."""
    ids = list(specialist.renderer.prompt(prompt).ids)
    start = len(ids)
    specialist.network.eval()
    with torch.no_grad():
        for _ in range(most):
            ids.append(int(specialist.network(torch.tensor([ids])).logits[0, -1].argmax()))
            if ids[-1] in ends:
                break
    specialist.network.train()
    return specialist.tokenizer.decode(ids[start:], skip_special_tokens=True), ids[-1] in ends


def logprob_alone(network: Any, row: Encoded) -> tuple[float, int]:
    """One row in float64 through the whole vocabulary and all positions."""
    network.eval()
    with torch.no_grad():
        table = network(torch.tensor([row.ids])).logits[0].double().log_softmax(-1)
    network.train()
    at = [t for t, w in enumerate(row.weights) if w != 0]
    return sum(float(table[t - 1, row.ids[t]]) for t in at), len(at)


def test_trap_32_batched_answers_equal_those_to_single_prompts(tiny: TinySpecialist) -> None:
    prompts = prompts_of_lengths([60, 3, 17, 4, 59, 30, 8, 3, 41, 25, 12, 52, 5])
    expected = [greedy_alone(tiny, p, 24, {2, 5}) for p in prompts]
    assert {stopped for _, stopped in expected} == {True, False}
    for size in (1, 4, 64):
        answers = TransformersModel(tiny, Generation(max_new_tokens=24, batch_size=size)).answers(prompts)
        assert [(a.text, a.stopped) for a in answers] == expected


def test_answers_hold_no_special_tokens_and_count_their_tokens(tiny: TinySpecialist) -> None:
    for answer in TransformersModel(tiny, Generation(max_new_tokens=12)).answers(prompts_of_lengths(range(3, 30))):
        assert not any(token in answer.text for token in SPECIAL)
        assert answer.tokens <= 12
        assert answer.stopped or answer.tokens == 12


def test_ragged_attention_is_put_aside_for_generation_and_back(tiny: TinySpecialist) -> None:
    prompts = prompts_of_lengths([5, 40, 13])
    plain = TransformersModel(tiny, Generation(max_new_tokens=10)).generate(prompts)
    tiny.network.set_attn_implementation(RAGGED)
    assert TransformersModel(tiny, Generation(max_new_tokens=10)).generate(prompts) == plain
    assert tiny.network.config._attn_implementation == RAGGED


def test_each_modules_mode_and_what_trains_are_left_as_they_were(tiny: TinySpecialist) -> None:
    tiny.network.train()
    tiny.network.model.layers[0].eval()
    tiny.network.lm_head.requires_grad_(False)
    modes = [m.training for m in tiny.network.modules()]
    trained = [p.requires_grad for p in tiny.network.parameters()]
    model = TransformersModel(tiny, Generation(max_new_tokens=3))
    model.generate([ask("hello")])
    model.logprob([[*ask("a"), Message("assistant", "b")]])
    assert [m.training for m in tiny.network.modules()] == modes
    assert [p.requires_grad for p in tiny.network.parameters()] == trained
    too_long = [ask("x" * (CONTEXT + 1))]
    with pytest.raises(DataError):
        model.generate(too_long)
    assert [m.training for m in tiny.network.modules()] == modes


def test_training_goes_on_after_an_evaluation(tiny: TinySpecialist) -> None:
    model = TransformersModel(tiny, Generation(max_new_tokens=3))
    model.generate([ask("hello")])
    model.embed(["hello"])
    tiny.network(torch.tensor([[1, 7, 8]])).logits.sum().backward()
    assert all(p.grad is not None for p in tiny.network.parameters())


def test_every_pass_runs_in_the_specialists_precision(tiny: TinySpecialist) -> None:
    model = TransformersModel(tiny, Generation(max_new_tokens=2))
    model.generate([ask("a")])
    model.logprob([[*ask("a"), Message("assistant", "b")]])
    model.embed(["a"])
    assert len(tiny.passes) == 3


def test_what_the_base_ships_as_sampling_defaults_is_not_applied(tiny: TinySpecialist) -> None:
    prompts = prompts_of_lengths([6, 20])
    plain = TransformersModel(tiny, Generation(max_new_tokens=10)).generate(prompts)
    shipped = GenerationConfig(
        do_sample=True, temperature=3.0, repetition_penalty=5.0, eos_token_id=[2], pad_token_id=0
    )
    tiny.network.generation_config = shipped
    assert TransformersModel(tiny, Generation(max_new_tokens=10)).generate(prompts) == plain
    assert tiny.network.generation_config is shipped


def test_stop_texts_end_an_answer_and_are_not_part_of_it(tiny: TinySpecialist) -> None:
    prompts = prompts_of_lengths([4, 33, 9, 21])
    whole = TransformersModel(tiny, Generation(max_new_tokens=20)).generate(prompts)
    stop = next(text for text in whole if len(text) > 8)[3:5]
    answers = TransformersModel(tiny, Generation(max_new_tokens=20, stop=[stop])).answers(prompts)
    assert [a.text for a in answers] == [text.split(stop)[0] for text in whole]
    assert all(a.stopped and a.tokens < 20 for a, text in zip(answers, whole, strict=True) if stop in text)


def test_a_stop_text_in_the_prompt_stops_nothing(tiny: TinySpecialist) -> None:
    prompt = ask("zz END zz END")
    without = TransformersModel(tiny, Generation(max_new_tokens=6)).generate([prompt])
    assert TransformersModel(tiny, Generation(max_new_tokens=6, stop=["END"])).generate([prompt]) == without


def test_sampled_answers_depend_on_row_and_seed_and_not_on_the_batch(tiny: TinySpecialist) -> None:
    prompts = prompts_of_lengths([5, 30, 12, 5, 44, 9])

    def sampled(size: int, seed: int) -> list[str]:
        return TransformersModel(tiny, Generation(12, temperature=1.5, batch_size=size), seed).generate(prompts)

    assert sampled(1, 3) == sampled(4, 3) == sampled(6, 3)
    assert sampled(6, 3) != sampled(6, 4)
    backwards = TransformersModel(tiny, Generation(12, temperature=1.5), 3).generate(prompts[::-1])
    assert backwards[::-1] == sampled(6, 3)


def test_the_same_prompt_twice_draws_twice(tiny: TinySpecialist) -> None:
    first, second = TransformersModel(tiny, Generation(16, temperature=2.0)).generate([ask("same"), ask("same")])
    assert first != second


def test_samples_follow_the_softmax_at_their_temperature() -> None:
    scores, temperature, n = torch.tensor([[2.0, 0.0, -1.0, 1.0]]), 0.7, 6000
    draw = RowSampling([11], temperature, 0)
    counts = torch.zeros(4)
    for _ in range(n):
        counts[draw(torch.zeros(1, 1, dtype=torch.long), scores).argmax()] += 1
    expected = (scores[0] / temperature).softmax(-1)
    error = (expected * (1 - expected) / n).sqrt()
    assert ((counts / n - expected).abs() < 4 * error).all()


def test_an_answer_ends_where_the_context_does(tiny: TinySpecialist) -> None:
    prompts = prompts_of_lengths([3, CONTEXT - 10, 5])
    lengths = [len(tiny.renderer.prompt(p).ids) for p in prompts]
    answers = TransformersModel(tiny, Generation(max_new_tokens=30)).answers(prompts)
    expected = [greedy_alone(tiny, p, min(30, CONTEXT - n), {2, 5}) for p, n in zip(prompts, lengths, strict=True)]
    assert [(a.text, a.stopped) for a in answers] == expected


def test_a_prompt_that_fills_the_context_is_refused_with_its_number(tiny: TinySpecialist) -> None:
    with pytest.raises(DataError, match=f"prompt 2 has 164 tokens .* the base reads {CONTEXT}"):
        TransformersModel(tiny).generate(prompts_of_lengths([3, CONTEXT]))


def test_a_prompt_that_fills_the_context_is_refused_before_any_is_answered(
    tiny: TinySpecialist, tmp_path: Path
) -> None:
    told: list[tuple[int, int]] = []
    model = TransformersModel(tiny, Generation(max_new_tokens=1, batch_size=1), known=Known(tmp_path, "tiny"))
    prompts = prompts_of_lengths([CONTEXT, *range(1, 12)])  # more than are made between two writes
    with pytest.raises(DataError, match="prompt 1 has 164 tokens"):
        model.answers(prompts, progress=lambda done, total: told.append((done, total)))
    assert told == []


def test_progress_is_told_up_to_the_end(tiny: TinySpecialist) -> None:
    told: list[tuple[int, int]] = []
    model = TransformersModel(tiny, Generation(max_new_tokens=2, batch_size=2))
    model.answers(prompts_of_lengths([3, 4, 5, 6, 7]), progress=lambda done, total: told.append((done, total)))
    assert told == [(2, 5), (4, 5), (5, 5)]


def conversations(count: int, seed: int = 1) -> list[list[Message]]:
    draw = random.Random(seed)
    return [
        [
            Message("user", "".join(draw.choices("abcdef ", k=draw.randint(1, 40)))),
            Message("assistant", "".join(draw.choices("uvwxyz ", k=draw.randint(1, 40)))),
        ]
        for _ in range(count)
    ]


def test_trap_31_log_probabilities_depend_neither_on_batch_nor_order(tiny: TinySpecialist) -> None:
    rows = conversations(11)
    expected = [logprob_alone(tiny.network, tiny.renderer.conversation(row)) for row in rows]
    for size in (1, 3, 64):
        got = TransformersModel(tiny, Generation(batch_size=size)).logprob(rows)
        assert [n for _, n in got] == [n for _, n in expected]
        assert [s for s, _ in got] == pytest.approx([s for s, _ in expected], rel=1e-5)
    backwards = TransformersModel(tiny, Generation(batch_size=3)).logprob(rows[::-1])
    assert [s for s, _ in backwards[::-1]] == pytest.approx([s for s, _ in expected], rel=1e-5)


def test_trap_33_memory_does_not_grow_with_the_set(tiny: TinySpecialist, monkeypatch: pytest.MonkeyPatch) -> None:
    alive: list[weakref.ref[Tensor]] = []
    sizes: list[int] = []

    def watch(module: nn.Module, inputs: Any, output: Tensor) -> None:
        assert all(ref() is None for ref in alive), "logits of an earlier batch are still held"
        alive.append(weakref.ref(output))
        sizes.append(output.numel())

    tiny.network.lm_head.register_forward_hook(watch)
    vocabulary = len(tiny.tokenizer)
    monkeypatch.setattr(scoring, "LOGITS_BUDGET", 4 * 50 * vocabulary)
    rows = conversations(40)
    whole = TransformersModel(tiny, Generation(batch_size=64)).logprob(rows)
    assert max(sizes) <= 4 * 50 * vocabulary
    assert len(sizes) > 4
    expected = [logprob_alone(tiny.network, tiny.renderer.conversation(row))[0] for row in rows[:5]]
    assert [s for s, _ in whole[:5]] == pytest.approx(expected, rel=1e-5)


def test_only_what_has_a_weight_counts(tiny: TinySpecialist) -> None:
    turns = [Message("user", "hi"), Message("assistant", "no", 0.0), Message("user", "go"), Message("assistant", "yes")]
    [(total, n)] = TransformersModel(tiny).logprob([turns])
    assert n == len("yes") + 1
    everything = [Message(t.role, t.content) for t in turns]
    [(more, m)] = TransformersModel(tiny).logprob([everything])
    assert m == len("yes") + 1 + len("no") + 1
    assert more < total


def test_segments_are_scored_without_a_template(tiny: TinySpecialist) -> None:
    [(total, n)] = TransformersModel(tiny).logprob([[Segment("abc", 0.0), Segment("defg")]])
    row = tiny.renderer.text([("abc", 0.0), ("defg", 1.0)])
    assert (total, n) == (pytest.approx(logprob_alone(tiny.network, row)[0], rel=1e-5), 5)


def test_a_text_that_is_longer_than_the_base_reads_is_scored_in_pieces_with_half_of_it_as_context(
    tiny: TinySpecialist,
) -> None:
    long = "".join(random.Random(1).choices("abcdefgh ijkl", k=3 * CONTEXT))
    told: list[tuple[int, int]] = []
    found = TransformersModel(tiny, Generation(batch_size=2)).logprob(
        [[Segment("abc")], [Segment(long)]], progress=lambda done, of: told.append((done, of))
    )
    row = tiny.renderer.text([(long, 1.0)])
    pieces = row.pieces(CONTEXT, CONTEXT // 2, tiny.tokenizer.bos_token_id)
    assert len(pieces) > 4
    expected = [logprob_alone(tiny.network, piece) for piece in pieces]
    assert found[1][1] == sum(number for _, number in expected) == len(row.ids) - 1
    assert found[1][0] == pytest.approx(sum(total for total, _ in expected), rel=1e-5)
    assert found[0] == pytest.approx(TransformersModel(tiny).logprob([[Segment("abc")]])[0], rel=1e-5)
    assert told[-1] == (2, 2)
    with pytest.raises(DataError, match=f"text 2 has .* the base reads {CONTEXT}"):
        TransformersModel(tiny).logprob([[Segment(long)], [*ask(long), Message("assistant", "b")]])


def test_text_is_gone_on_with_as_a_loop_does_and_without_a_template(tiny: TinySpecialist) -> None:
    class Untemplated(PlainRenderer):
        def conversation(self, messages: Sequence[Message], tools: Sequence[Any] = ()) -> Encoded:
            msg = "model.template is not set"
            raise RecipeError(msg)

        prompt = conversation

    tiny.renderer = Untemplated(tiny.tokenizer)
    texts = ["abc", "defghij kl", "m"]
    asked = [[Segment(text, 0.0), Segment("xyz")] for text in texts]
    answers = TransformersModel(tiny, Generation(max_new_tokens=12)).answers(asked)
    for text, answer in zip(texts, answers, strict=True):
        ids = list(tiny.renderer.text([(text, 0.0)], end=False).ids)
        start = len(ids)
        tiny.network.eval()
        with torch.no_grad():
            while len(ids) < start + 12 and ids[-1] != tiny.tokenizer.eos_token_id:
                ids.append(int(tiny.network(torch.tensor([ids])).logits[0, -1].argmax()))
        assert answer.text == tiny.tokenizer.decode(ids[start:], skip_special_tokens=True)
        assert answer.prompt == start
    (timing,) = TransformersModel(tiny, Generation(max_new_tokens=2)).timed(asked[:1])
    assert timing.tokens == 2
    labels = ["xyz", "uvw"]
    (row,) = TransformersModel(tiny).classify(asked[:1], labels)
    logs = [logprob_alone(tiny.network, tiny.renderer.text([("abc", 0.0), (label, 1.0)]))[0] for label in labels]
    assert row == pytest.approx(torch.tensor(logs, dtype=torch.float64).softmax(-1).tolist(), rel=1e-4)
    with pytest.raises(RecipeError, match=r"model\.template"):
        TransformersModel(tiny).generate([ask("a question")])


def test_tools_reach_the_template_for_answers_and_for_scores(tiny: TinySpecialist) -> None:
    seen: list[Any] = []

    class Watching(PlainRenderer):
        def conversation(self, messages: Sequence[Message], tools: Sequence[Any] = ()) -> Encoded:
            seen.append(("scored", tools))
            return super().conversation(messages)

        def prompt(self, messages: Sequence[Message], tools: Sequence[Any] = ()) -> Encoded:
            seen.append(("asked", tools))
            return super().prompt(messages)

    tiny.renderer = Watching(tiny.tokenizer)
    model = TransformersModel(tiny, Generation(max_new_tokens=1))
    model.answers([ask("a")], [({"name": "f"},)])
    model.logprob([[*ask("a"), Message("assistant", "b")]], [({"name": "g"},)])
    assert ("asked", ({"name": "f"},)) in seen
    assert seen[-1] == ("scored", ({"name": "g"},))
    model.classify([ask("a")], ["yes", "no"], tools=[({"name": "h"},)])
    assert seen[-2:] == [("scored", ({"name": "h"},))] * 2


def test_nothing_to_score_is_nothing(tiny: TinySpecialist) -> None:
    model = TransformersModel(tiny)
    assert model.logprob([]) == []
    assert model.logprob([ask("only a question")]) == [(0.0, 0)]
    assert model.generate([]) == []
    assert model.classify([ask("a")], []) == [[]]
    assert model.embed([]).shape == (0, 32)


def test_classes_are_weighed_by_the_probability_of_their_names(tiny: TinySpecialist) -> None:
    labels = ["yes", "no", "maybe"]
    rows = TransformersModel(tiny).classify([ask("really?"), ask("a longer question")], labels)
    for prompt, row in zip(["really?", "a longer question"], rows, strict=True):
        logs = [
            logprob_alone(tiny.network, tiny.renderer.conversation([*ask(prompt), Message("assistant", label)]))[0]
            for label in labels
        ]
        assert row == pytest.approx(torch.tensor(logs, dtype=torch.float64).softmax(-1).tolist(), rel=1e-4)
        assert math.fsum(row) == pytest.approx(1)


def test_classes_of_many_prompts_are_weighed_in_parts_and_kept(
    tiny: TinySpecialist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts, labels = [ask(f"is it {n}?") for n in range(5)], ["yes", "no", "maybe"]
    whole = TransformersModel(tiny).classify(prompts, labels)
    monkeypatch.setattr(language_model, "_PAIRS_AT_ONCE", 7)
    told: list[tuple[int, int]] = []
    known = Known(tmp_path, "tiny")
    parts = TransformersModel(tiny, known=known).classify(
        prompts, labels, progress=lambda *said: told.append((said[0], said[1]))
    )
    assert parts == [pytest.approx(row, rel=1e-4) for row in whole]
    assert told[-1] == (15, 15)
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert TransformersModel(tiny, known=known).classify(prompts, labels) == parts
    assert known.found == 15


def test_embeddings_are_means_of_each_texts_own_tokens(tiny: TinySpecialist) -> None:
    texts = ["short", "a much longer text than that", "mid size"]
    got = TransformersModel(tiny, Generation(batch_size=3)).embed(texts)
    tiny.network.eval()
    for row, text in zip(got, texts, strict=True):
        ids = torch.tensor([tiny.renderer.text([(text, 0.0)], end=False).ids])
        with torch.no_grad():
            expected = tiny.network.model(ids).last_hidden_state[0].mean(0)
        torch.testing.assert_close(row, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft 0.21.2 reads the old name
def test_trap_45_the_baseline_is_the_untouched_model_and_leaves_what_trains(tiny: TinySpecialist) -> None:
    prompts = prompts_of_lengths([5, 24, 11])
    rows = conversations(4)
    before = TransformersModel(tiny, Generation(max_new_tokens=10))
    untouched = before.generate(prompts), before.logprob(rows)
    config = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    tiny.network = peft.get_peft_model(tiny.network, config)
    tiny.adapter = SwitchedLoRA()
    trained = {n for n, p in tiny.network.named_parameters() if p.requires_grad}
    tuned = TransformersModel(tiny, Generation(max_new_tokens=10))
    base = tuned.baseline("base")
    assert (base.generate(prompts), base.logprob(rows)) == untouched
    assert tuned.generate(prompts) != untouched[0]
    assert {n for n, p in tiny.network.named_parameters() if p.requires_grad} == trained
    assert base.baseline() is base


def test_an_adapter_that_stays_is_compared_with_a_frozen_copy(tiny: TinySpecialist) -> None:
    tiny.copy = tiny_llama(1, len(tiny.tokenizer))
    base = TransformersModel(tiny, Generation(max_new_tokens=10)).baseline()
    other = TinySpecialist(tiny.copy, tiny.tokenizer, tiny.renderer, Untouched())
    prompts = prompts_of_lengths([5, 24])
    assert base.generate(prompts) == TransformersModel(other, Generation(max_new_tokens=10)).generate(prompts)


def test_an_unknown_baseline_is_refused(tiny: TinySpecialist) -> None:
    with pytest.raises(RecipeError, match="baseline 'bse' is not known; known: base"):
        TransformersModel(tiny).baseline("bse")


@pytest.mark.parametrize(
    ("generation", "message"),
    [
        (Generation(max_new_tokens=0), "generation.max_new_tokens is 0; it must be 1 or more"),
        (Generation(batch_size=-1), "generation.batch_size is -1"),
        (Generation(temperature=-0.5), "generation.temperature is -0.5"),
        (Generation(temperature=math.nan), "generation.temperature is nan"),
        (Generation(stop=["x", ""]), "generation.stop holds an empty text"),
    ],
)
def test_a_wrong_way_to_decode_is_refused(tiny: TinySpecialist, generation: Generation, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        TransformersModel(tiny, generation).generate([ask("a")])


def test_long_rows_are_fewer_at_once(tiny: TinySpecialist, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []

    def watch(module: nn.Module, arguments: Any, named: dict[str, Any]) -> None:
        seen.append(tuple(named["input_ids"].shape))

    tiny.network.register_forward_pre_hook(watch, with_kwargs=True)
    rows, prompts = conversations(20), prompts_of_lengths(range(3, 43))
    expected = TransformersModel(tiny, Generation(max_new_tokens=6)).answers(prompts)
    scores = TransformersModel(tiny).logprob(rows)
    assert max(n for n, _ in seen) == 40
    seen.clear()
    monkeypatch.setattr(scoring, "TOKENS_AT_ONCE", 150)
    monkeypatch.setattr("tunesmith.evaluation.decoding.TOKENS_AT_ONCE", 150)
    assert TransformersModel(tiny, Generation(max_new_tokens=6)).answers(prompts) == expected
    assert max(n * (width + 5) for n, width in seen if width > 1) <= 150
    assert len({n for n, _ in seen}) > 2
    seen.clear()
    again = [total for total, _ in TransformersModel(tiny).logprob(rows)]
    assert again == pytest.approx([total for total, _ in scores], rel=1e-5)
    assert max(n * width for n, width in seen) <= 150

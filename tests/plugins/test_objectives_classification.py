"""Classification: loss and gradient by transformers' own loss of a padded batch, weights, and what of a row is read."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from tunesmith import Example, Message, RecipeError, RowError, Segment
from tunesmith.data.curate import apply_curator
from tunesmith.data.encode import encode_split
from tunesmith.training.attention import plain_attention
from tunesmith_plugins.adapters.full import Full
from tunesmith_plugins.adapters.lora import LoRA
from tunesmith_plugins.curators.reweigh import Reweigh
from tunesmith_plugins.objectives.classification import Classification

LABELS = ["positive", "negative", "neutral"]


def row(text: str, *labels: str, several: bool = False) -> Example:
    label: Any = tuple(labels) if several else labels[0]
    return Example(segments=(Segment(text),), label=label, id=text)


ROWS = [
    row("Sales rose.", "positive"),
    row("Costs rose even more, and the board is worried.", "negative"),
    row("The call is over.", "neutral"),
    row("Nothing was said of the pump in the hall, nor of the lamp.", "neutral"),
]
SEVERAL = [
    row("Sales rose, and costs did.", "positive", "negative", several=True),
    row("The call is over.", several=True),
    row("It went well.", "positive", several=True),
]


@pytest.fixture(scope="module")
def base(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.write_base(tmp_path_factory.mktemp("base")))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random BERT with a vocabulary of a few words."""
    directory = tmp_path_factory.mktemp("bert")
    words = (
        "sales rose . costs even more , and the board is worried call over nothing was said of pump in hall nor lamp"
    )
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(words.split())]
    (directory / "vocab.txt").write_text("\n".join(names))
    transformers.BertTokenizer(str(directory / "vocab.txt")).save_pretrained(directory)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(names),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        initializer_range=0.3,
        max_position_embeddings=32,
    )
    transformers.BertForMaskedLM(config).save_pretrained(directory)
    return str(directory)


def padded(module: Any, rows: list[Example], **options: Any) -> dict[str, torch.Tensor]:
    """The rows as plain transformers reads them."""
    tokenizer = module.tokenizer
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    texts = ["".join(piece.text for piece in example.segments) for example in rows]
    return dict(tokenizer(texts, padding=True, return_tensors="pt", **options))


@pytest.mark.parametrize("kind", ["decoder", "encoder"])
@pytest.mark.parametrize("adapter", [LoRA(rank=4), Full()], ids=["lora", "full"])
def test_loss_and_gradient_are_those_of_transformers_own_forward(
    tiny: Any, base: str, encoder: str, kind: str, adapter: Any
) -> None:
    objective = Classification(LABELS)
    module = tiny.moved(encoder if kind == "encoder" else base, objective, adapter)
    assert module.layout == "ragged"
    batch = tiny.batch_of(module, ROWS)
    model = module.passes.model
    targets = torch.tensor([0, 1, 2, 2])
    with plain_attention(module.network):
        out = model(**padded(module, ROWS), labels=targets)
    expected = out.loss * len(ROWS)
    term = objective.loss(module.passes(batch))
    assert term.unit == "example"
    torch.testing.assert_close(term.sum, expected, rtol=1e-4, atol=1e-5)
    for got, want in zip(tiny.gradients(module, term.sum), tiny.gradients(module, expected), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-3, atol=2e-5)
    assert float(term.logged["accuracy"]) == int((out.logits.argmax(-1) == targets).sum())
    head = model.classifier if kind == "encoder" else model.score
    assert any(p.requires_grad for p in head.parameters())


def test_several_classes_are_learnt_each_by_itself(tiny: Any, base: str) -> None:
    objective = Classification(LABELS, multi_label=True)
    module = tiny.moved(base, objective, Full())
    batch = tiny.batch_of(module, SEVERAL)
    targets = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    with plain_attention(module.network):
        out = module.passes.model(**padded(module, SEVERAL), labels=targets)
    assert module.passes.model.config.problem_type == "multi_label_classification"
    term = objective.loss(module.passes(batch))
    torch.testing.assert_close(term.sum, out.loss * 3, rtol=1e-4, atol=1e-5)
    right = ((out.logits > 0) == (targets > 0)).all(-1)
    assert float(term.logged["accuracy"]) == int(right.sum())


def test_weights_multiply_the_rows_of_their_class_or_what_is_of_it(tiny: Any, base: str) -> None:
    for objective, rows in (
        (Classification(LABELS, class_weights={"negative": 3.0, "neutral": 0.5}), ROWS),
        (Classification(LABELS, multi_label=True, class_weights={"negative": 3.0}), SEVERAL),
    ):
        module = tiny.moved(base, objective, Full())
        forward = module.passes(tiny.batch_of(module, rows))
        logits = forward.head(forward.pooled()).detach().double().numpy()
        if objective.multi_label:
            chances = 1 / (1 + np.exp(-logits))
            targets = np.array([[1, 1, 0], [0, 0, 0], [1, 0, 0]])
            each = -(np.array([1, 3, 1]) * targets * np.log(chances) + (1 - targets) * np.log(1 - chances)).mean(1)
        else:
            chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
            each = -np.log(chances[range(4), [0, 1, 2, 2]]) * np.array([1, 3, 0.5, 0.5])
        assert float(objective.loss(forward).sum.detach()) == pytest.approx(each.sum(), rel=1e-4)


def test_rows_that_reweigh_weighs_count_as_much_more(tiny: Any, base: str) -> None:
    """Group a is positive once in three rows, b twice in three: 3 * 3 / (6 * 1) = 1.5 and 3 * 3 / (6 * 2) = 0.75."""
    counts = {("a", "positive"): 1, ("a", "negative"): 2, ("b", "positive"): 2, ("b", "negative"): 1}
    rows = [
        replace(row(f"Sales of {group} rose {at}.", label), id=f"{group}-{label}-{at}", extras={"team": group})
        for (group, label), number in counts.items()
        for at in range(number)
    ]
    weighed = list(apply_curator("weigh", Reweigh("team"), rows, 1)[0])
    expected = [9 / (6 * counts[one.extras["team"], one.label]) for one in rows]
    assert [piece.weight for one in weighed for piece in one.segments] == pytest.approx(expected)
    one = Classification(LABELS)
    module = tiny.moved(base, one, Full())
    forward = module.passes(tiny.batch_of(module, weighed))
    logits = forward.head(forward.pooled()).detach().double().numpy()
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    each = -np.log(chances[range(6), [LABELS.index(str(row.label)) for row in forward.batch.examples]])
    assert float(one.loss(forward).sum.detach()) == pytest.approx(np.dot(each, expected), rel=1e-4)
    asked = Example(messages=(Message("user", "?"), Message("assistant", "positive", 2.5)), id="q")
    plain = replace(asked, messages=(Message("user", "?"), Message("assistant", "positive")))
    losses = [float(one.loss(module.passes(tiny.batch_of(module, [r]))).sum.detach()) for r in (asked, plain)]
    assert losses[0] == pytest.approx(2.5 * losses[1])


def test_balanced_weights_are_counted_on_the_training_rows(tiny: Any, base: str) -> None:
    one = Classification(LABELS, class_weights="balanced")
    one.prepare(ROWS)
    # rows / (classes * rows of the class)
    assert one._counted == {"positive": 4 / 3, "negative": 4 / 3, "neutral": 2 / 3}
    several = Classification(LABELS[:2], multi_label=True, class_weights="balanced")
    several.prepare(SEVERAL)
    assert several._counted == {"positive": 1 / 2, "negative": 2 / 1}
    with pytest.raises(RecipeError, match="balanced, but no training row is of the class negative"):
        Classification(LABELS[:2], class_weights="balanced").prepare(ROWS[:1])
    module = tiny.moved(base, one, Full())
    weighted = float(one.loss(module.passes(tiny.batch_of(module, ROWS[:1]))).sum.detach())
    plain = float(Classification(LABELS).loss(module.passes(tiny.batch_of(module, ROWS[:1]))).sum.detach())
    assert weighted == pytest.approx(4 / 3 * plain)


def test_an_encoder_reads_its_marks_also_of_a_text_that_is_cut(tiny: Any, encoder: str) -> None:
    module = tiny.moved(encoder, Classification(LABELS), Full())
    tokens = module.tokenizer.convert_ids_to_tokens
    (encoded,) = module.objective.encode(ROWS[0], module.renderer)
    assert tokens(encoded.ids) == ["[CLS]", "sales", "rose", ".", "[SEP]"]
    split = encode_split(
        ROWS[1:2], module.objective, module.renderer, 5, closing=module.renderer.closing_id, bos=module.renderer.bos_id
    )
    (cut,) = split.rows[0].sequences
    assert tokens(cut.ids) == ["[CLS]", "costs", "rose", "even", "[SEP]"]
    assert cut.truncated
    plain = module.tokenizer("Costs rose even more, and the board is worried.", truncation=True, max_length=5)
    assert list(cut.ids) == plain["input_ids"]


def test_a_decoder_reads_what_its_tokenizer_makes_of_a_text(tiny: Any, base: str) -> None:
    module = tiny.moved(base, Classification(LABELS), Full())
    (encoded,) = module.objective.encode(ROWS[0], module.renderer)
    assert list(encoded.ids) == module.tokenizer("Sales rose.")["input_ids"]
    assert not any(encoded.weights)


def test_the_class_is_the_label_or_the_last_answer(tiny: Any, base: str) -> None:
    module = tiny.moved(base, Classification(LABELS), Full())
    asked, said = Message("user", "Sales rose."), Message("assistant", "positive")
    answered = Example(messages=(asked, said))
    labelled = Example(messages=(asked,), label="positive")
    for example in (answered, labelled, ROWS[0]):
        assert module.objective.encode(example, module.renderer) == module.objective.encode(ROWS[0], module.renderer)
        found = module.objective.asked(example)
        assert (found.prompt, found.reference) == ((asked,), "positive")
    judged = Example(messages=(asked, Message("assistant", "So what?")), label="negative")
    assert module.objective.asked(judged).prompt == judged.messages
    (encoded,) = module.objective.encode(judged, module.renderer)
    assert "So what?" in module.tokenizer.decode(encoded.ids)
    several = Classification(LABELS, multi_label=True)
    assert several.asked(SEVERAL[0]).reference == "positive, negative"
    assert several.asked(SEVERAL[1]).reference == ""
    listed = Example(messages=(asked, Message("assistant", "negative, neutral")))
    assert several._places(listed) == [1, 2]
    assert Classification(["0", "2"])._places(Example(messages=(asked,), label=2)) == [1]


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("positve", "'positve' is none of model.objective.init_args.labels; did you mean positive"),
        (0.5, "is 0.5; a class is wanted, one of positive, negative, neutral"),
        (True, "is True; a class is wanted"),
        (("positive", "negative"), "names 2 classes; model.objective.init_args.multi_label learns several"),
        (None, "is not there, and no answer that names the class"),
    ],
)
def test_labels_that_cannot_be_learnt_are_set_aside_with_the_reason(label: Any, said: str) -> None:
    example = Example(messages=(Message("user", "Sales rose."),), label=label)
    with pytest.raises(RowError, match=said):
        Classification(LABELS).encode(example, None)  # type: ignore[arg-type]
    with pytest.raises(RowError, match="there is no text to classify"):
        Classification(LABELS).encode(Example(label="positive"), None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"labels": ["a"]}, "labels is .*; give 2 or more, each once"),
        ({"labels": ["a", "a"]}, "give 2 or more, each once"),
        ({"labels": ["a", " "]}, "give 2 or more, each once"),
        ({"labels": [], "multi_label": True}, "give 1 or more"),
        ({"labels": ["a", "b"], "class_weights": {"c": 1.0}}, "class_weights: c is none of labels"),
        ({"labels": ["a", "b"], "class_weights": {"a": 0.0}}, "class_weights.a is 0.0; it must be above 0"),
    ],
)
def test_options_that_cannot_be_are_refused(options: Any, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        Classification(**options).check()


def test_an_adapter_that_leaves_the_new_head_alone_is_refused(tiny: Any, base: str) -> None:
    class BodyAlone(Full):
        def attach(self, model: Any) -> Any:
            model.requires_grad_(False)
            model.base_model.layers[0].requires_grad_(True)
            return model

    with pytest.raises(RecipeError, match="BodyAlone does not train the head for classes; use LoRA or Full"):
        tiny.moved(base, Classification(LABELS), BodyAlone())


@pytest.mark.parametrize("adapter", [LoRA(rank=4), Full()], ids=["lora", "full"])
def test_what_is_saved_names_its_classes_to_plain_transformers(
    tiny: Any, base: str, adapter: Any, tmp_path: Path
) -> None:
    module = tiny.moved(base, Classification(LABELS), adapter)
    module.save_adapter(tmp_path)
    readme = (tmp_path / "README.md").read_text()
    assert "pipeline_tag: text-classification" in readme
    code = readme.partition("```python\n")[2].partition("```")[0]
    scope: dict[str, Any] = {}
    exec(code.replace('directory = "."', f"directory = {str(tmp_path)!r}"), scope)
    assert list(scope["model"].config.id2label.values()) == LABELS
    texts = padded(module, ROWS)
    with torch.no_grad():
        logits = scope["model"].eval()(**texts).logits
        forward = module.passes(tiny.batch_of(module, ROWS))
        torch.testing.assert_close(logits, forward.head(forward.pooled()), rtol=1e-4, atol=1e-4)
    again = tiny.moved(base, Classification(LABELS), adapter)
    again.load_adapter(tmp_path)
    with torch.no_grad():
        forward = again.eval().passes(tiny.batch_of(again, ROWS))
        torch.testing.assert_close(forward.head(forward.pooled()), logits, rtol=1e-4, atol=1e-4)
    merged = module.adapter.merge(module.network)
    with torch.no_grad(), plain_attention(merged):
        torch.testing.assert_close(merged(**texts).logits, logits, rtol=1e-3, atol=1e-3)

"""Plugins that each break one rule of the kit, and no other: methods, and an audit of the model."""

import os
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from tunesmith import (
    Adapter,
    Audit,
    Chunk,
    Encoded,
    Example,
    Findings,
    Forward,
    Objective,
    Regularizer,
    Renderer,
    RowError,
    Subject,
    Term,
)


class _Learn(Objective):
    def encode(self, example: Example, renderer: Renderer) -> list[Encoded]:
        if example.segments:
            return [self.changed(renderer.text([(s.text, s.weight) for s in example.segments]), example, renderer)]
        if not example.messages:
            raise RowError("messages", "is empty")
        return [self.changed(renderer.conversation(example.messages, example.tools), example, renderer)]

    def changed(self, encoded: Encoded, example: Example, renderer: Any) -> Encoded:
        return encoded

    def loss(self, forward: Forward) -> Term:
        return Term(self.summed(forward), "token")

    def summed(self, forward: Forward, **options: Any) -> Any:
        from torch.nn.functional import cross_entropy

        def term(chunk: Any) -> Any:
            return cross_entropy(forward.head(chunk.hidden), chunk.targets, reduction="none", **options) @ chunk.weights

        return forward.total(term)


def means(forward: Forward, chunks: Any) -> Any:
    """Weighted mean of the tokens of each sequence, summed over sequences."""
    import torch
    from torch.nn.functional import cross_entropy

    chunks = list(chunks)
    logits = torch.cat([forward.head(chunk.hidden) for chunk in chunks])
    targets, weights, owners = (torch.cat([getattr(c, name) for c in chunks]) for name in Chunk._fields[1:])
    nothing = torch.zeros(len(forward.batch.cu_seqlens) - 1)
    sums = nothing.index_add(0, owners, cross_entropy(logits, targets, reduction="none") * weights)
    return (sums / nothing.index_add(0, owners, weights).clamp(min=1e-9)).sum()


class NamesNoShape(_Learn):
    """Learns conversations."""

    breaks = "encodes_some_shape"

    def encode(self, example: Example, renderer: Renderer) -> list[Encoded]:
        return [renderer.conversation((example.messages[0], example.messages[-1]))]


class GivesLists(_Learn):
    """Learns conversations."""

    breaks = "encodes_some_shape"

    def changed(self, encoded: Encoded, example: Example, renderer: Any) -> Encoded:
        return Encoded(list(encoded.ids), list(encoded.weights))  # type: ignore[arg-type]


class MarksWhatItEncodes(_Learn):
    """Learns conversations."""

    breaks = "encodes_the_same_each_time"

    def changed(self, encoded: Encoded, example: Example, renderer: Any) -> Encoded:
        example.extras["seen"] = True  # type: ignore[index]
        return encoded


class DrawsToEncode(_Learn):
    """Learns conversations, if it feels like it."""

    breaks = "encodes_the_same_each_time"

    def changed(self, encoded: Encoded, example: Example, renderer: Any) -> Encoded:
        return encoded if random.random() < 2 else replace(encoded, weights=(0.0,) * len(encoded.ids))


class WeighsOneLess(_Learn):
    """Learns conversations."""

    breaks = "one_weight_a_token"

    def changed(self, encoded: Encoded, example: Example, renderer: Any) -> Encoded:
        return replace(encoded, weights=encoded.weights[1:])


class LearnsTheFirst(_Learn):
    """Learns conversations."""

    breaks = "first_token_weighs_nothing"

    def changed(self, encoded: Encoded, example: Example, renderer: Any) -> Encoded:
        return replace(encoded, weights=(1.0, *encoded.weights[1:]))


class LearnsNoTexts(_Learn):
    """Learns conversations."""

    breaks = "supervises_every_example"

    def changed(self, encoded: Encoded, example: Example, renderer: Any) -> Encoded:
        return replace(encoded, weights=(0.0,) * len(encoded.ids)) if example.segments else encoded


class CutsByItself(_Learn):
    """Learns conversations."""

    breaks = "leaves_cutting_to_the_core"

    def changed(self, encoded: Encoded, example: Example, renderer: Any) -> Encoded:
        if len(encoded.ids) <= 512:
            return encoded
        end = renderer.tokenizer.eos_token_id
        return Encoded((*encoded.ids[:511], end), (*encoded.weights[:511], 1.0))


class CutsTexts(_Learn):
    """Learns conversations."""

    breaks = "leaves_cutting_to_the_core"

    def changed(self, encoded: Encoded, example: Example, renderer: Any) -> Encoded:
        if not example.segments or len(encoded.ids) <= 512:
            return encoded
        return Encoded(encoded.ids[:512], encoded.weights[:512])


class MasksThePad(_Learn):
    """Learns conversations."""

    breaks = "trains_the_end_token"

    def changed(self, encoded: Encoded, example: Example, renderer: Any) -> Encoded:
        pad = renderer.tokenizer.pad_token_id
        pairs = zip(encoded.ids, encoded.weights, strict=True)
        return replace(encoded, weights=tuple(0.0 if token == pad else weight for token, weight in pairs))


class LosesWhereItCuts(_Learn):
    """Learns conversations."""

    breaks = "cuts_into_whole_pieces"

    def cut(self, sequence: Encoded, longest: int, bos: int | None, closing: int | None = None) -> list[Encoded]:
        starts = range(0, len(sequence.ids), longest)  # the first token of each is predicted from nothing
        parts = [(sequence.ids[at : at + longest], sequence.weights[at : at + longest]) for at in starts]
        return [Encoded(ids, (0.0, *weights[1:])) for ids, weights in parts]


class ReturnsAVector(_Learn):
    """Learns conversations."""

    breaks = "loss_is_a_term"

    def loss(self, forward: Forward) -> Term:
        return Term(self.summed(forward)[None], "token")


class TakesTheMean(_Learn):
    """Learns conversations."""

    breaks = "loss_adds_up"

    def loss(self, forward: Forward) -> Term:
        return Term(self.summed(forward) / max(1, len(forward.supervised)), "token")


class DividesByNothing(_Learn):
    """Learns conversations."""

    breaks = "loss_of_nothing_is_finite"

    def loss(self, forward: Forward) -> Term:
        number = forward.weights.sum()
        return Term(self.summed(forward) / number * number, "token")


class ScalesByItsFirst(_Learn):
    """Learns conversations."""

    breaks = "keeps_nothing_between_calls"

    def __init__(self) -> None:
        self._tokens = 0

    def loss(self, forward: Forward) -> Term:
        self._tokens = self._tokens or len(forward.supervised)
        return Term(self.summed(forward) / max(1, self._tokens), "token")


class IgnoresTheEnd(_Learn):
    """Learns conversations."""

    breaks = "loss_follows_the_weights"

    def loss(self, forward: Forward) -> Term:
        pad = forward._passes.model.config.pad_token_id  # type: ignore[attr-defined]
        return Term(self.summed(forward, ignore_index=-100 if pad is None else pad), "token")


class CallsTokensExamples(_Learn):
    """Learns conversations."""

    breaks = "loss_counts_its_unit"

    def loss(self, forward: Forward) -> Term:
        return Term(self.summed(forward), "example")


class CallsTokensPairs(_Learn):
    """Learns conversations."""

    breaks = "loss_counts_its_unit"

    def loss(self, forward: Forward) -> Term:
        return Term(self.summed(forward), "pair")


class CallsTokensOfPairsPairs(_Learn):
    """Learns both sides of pairs."""

    breaks = "loss_counts_its_unit"

    def encode(self, example: Example, renderer: Renderer) -> list[Encoded]:
        if not example.chosen:
            raise RowError("chosen", "is empty")
        return [renderer.conversation(turns) for turns in (example.chosen, example.rejected)]

    def loss(self, forward: Forward) -> Term:
        return Term(self.summed(forward), "pair")


class CallsExamplesTokens(_Learn):
    """Learns conversations, each as much as any other."""

    breaks = "loss_counts_its_unit"

    def loss(self, forward: Forward) -> Term:
        return Term(means(forward, forward.chunks()), "token")


class AveragesChunks(_Learn):
    """Learns conversations, each as much as any other."""

    breaks = "loss_adds_up"

    def loss(self, forward: Forward) -> Term:
        return Term(forward.total(lambda chunk: means(forward, [chunk])), "example")


class TakesWeightsForFlags(_Learn):
    """Learns conversations."""

    breaks = "loss_follows_the_weights"

    def loss(self, forward: Forward) -> Term:
        from torch.nn.functional import cross_entropy

        def term(chunk: Any) -> Any:
            return cross_entropy(forward.head(chunk.hidden), chunk.targets, reduction="sum")

        return Term(forward.total(term), "token")


class TakesWeightsForFlagsOfExamples(_Learn):
    """Learns conversations, each as much as any other."""

    breaks = "loss_follows_the_weights"

    def loss(self, forward: Forward) -> Term:
        flags = [chunk._replace(weights=(chunk.weights != 0).float()) for chunk in forward.chunks()]
        return Term(means(forward, flags), "example")


class LearnsToCopy(_Learn):
    """Learns conversations, one token too late."""

    breaks = "loss_learns_the_next_token"

    def loss(self, forward: Forward) -> Term:
        from torch.nn.functional import cross_entropy

        logits = forward.head(forward.hidden[forward.supervised + 1])
        return Term(cross_entropy(logits, forward.targets, reduction="none") @ forward.weights, "token")


class HasAnIdleHead(_Learn):
    """Learns conversations."""

    breaks = "loss_trains_its_own_module"

    def module(self, config: Any) -> Any:
        from torch import nn

        return nn.Linear(config.hidden_size, 2)


class LogsUnasked(_Learn):
    """Learns conversations."""

    breaks = "loss_logs_what_it_says"

    def loss(self, forward: Forward) -> Term:
        total = self.summed(forward)
        return Term(total, "token", {"nats": total.detach()})


class LogsAsTheCore(_Learn):
    """Learns conversations."""

    breaks = "loss_logs_what_it_says"

    def logs(self) -> list[str]:
        return ["lr"]

    def loss(self, forward: Forward) -> Term:
        total = self.summed(forward)
        return Term(total, "token", {"lr": total.detach()})


class SwitchesToEvaluation(_Learn):
    """Learns conversations."""

    breaks = "loss_leaves_no_trace"

    def loss(self, forward: Forward) -> Term:
        forward._passes.network.eval()  # type: ignore[attr-defined]
        return super().loss(forward)


class _Last(Adapter):
    switchable = False

    def attach(self, model: Any) -> Any:
        model.requires_grad_(requires_grad=False)
        model.model.layers[-1].requires_grad_(requires_grad=True)
        return model

    def save(self, model: Any, directory: Path) -> None:
        from safetensors.torch import save_file

        save_file({n: p.detach().clone() for n, p in self.kept(model).items()}, directory / "last.safetensors")

    def load(self, model: Any, directory: Path) -> None:
        from safetensors.torch import load_file

        found, own = load_file(directory / "last.safetensors"), self.kept(model)
        if found.keys() != own.keys():
            raise ValueError(f"other names: {found.keys() ^ own.keys()}")
        self.put(found, own)

    def put(self, found: Any, own: Any) -> None:
        for name, tensor in found.items():
            if own[name].shape != tensor.shape:
                raise ValueError(f"another shape: {name}")
            own[name].data.copy_(tensor)

    def kept(self, model: Any) -> dict[str, Any]:
        return {name: p for name, p in model.named_parameters() if p.requires_grad}


class TrainsNothing(_Last):
    """Trains the last layer, and a scale that nothing uses."""

    breaks = "trained_tensors_get_gradients"

    def attach(self, model: Any) -> Any:
        import torch

        model = super().attach(model)
        model.register_parameter("scale", torch.nn.Parameter(torch.ones(2)))
        return model

    def merge(self, model: Any) -> Any:
        del model.scale
        return model


class MovesTheBase(_Last):
    """Trains the last layer."""

    breaks = "frozen_tensors_stay"

    def after_step(self, model: Any, step: int) -> None:
        model.model.embed_tokens.weight.data[2] += 1.0  # the pad token's, which no row holds


class NamesAnotherRate(_Last):
    """Trains the last layer."""

    breaks = "groups_are_of_trained_tensors"

    def groups(self, model: Any) -> list[dict[str, Any]]:
        return [{"params": list(self.kept(model).values()), "lr_factor": 2.0}]


class GroupsTheBase(_Last):
    """Trains the last layer."""

    breaks = "groups_are_of_trained_tensors"

    def groups(self, model: Any) -> list[dict[str, Any]]:
        return [{"params": [model.model.embed_tokens.weight], "lr_scale": 2.0}]


# Where files for a while lie, as the kit sets it; elsewhere the working directory.
PLACE = os.environ.get("TMP", ".")


class SavesBeside(_Last):
    """Trains the last layer."""

    breaks = "writes_only_where_told"

    def save(self, model: Any, directory: Path) -> None:
        import torch

        super().save(model, directory)
        torch.save(self.kept(model), f"{PLACE}/last.pt")


class SavesTensorsBeside(_Last):
    """Trains the last layer."""

    breaks = "writes_only_where_told"

    def after_step(self, model: Any, step: int) -> None:
        from safetensors.torch import save_file

        save_file({n: p.detach().clone() for n, p in self.kept(model).items()}, f"{PLACE}/last.safetensors")


class DrawsInSetOrder(_Last):
    """Trains the last layer from scratch."""

    breaks = "deterministic"

    def attach(self, model: Any) -> Any:
        import torch

        model = super().attach(model)
        for name in set(self.kept(model)):
            parameter = model.get_parameter(name)
            if parameter.ndim == 2:
                torch.nn.init.normal_(parameter, std=0.05)
        return model


class ForgetsNorms(_Last):
    """Trains the last layer."""

    breaks = "saves_and_loads"

    def kept(self, model: Any) -> dict[str, Any]:
        return {name: p for name, p in super().kept(model).items() if "mlp" not in name}


class LoadsWhatFits(_Last):
    """Trains the last layer."""

    breaks = "load_refuses_other_names"

    def load(self, model: Any, directory: Path) -> None:
        from safetensors.torch import load_file

        found, own = load_file(directory / "last.safetensors"), self.kept(model)
        self.put({name: tensor for name, tensor in found.items() if name in own}, own)


class FreezesToSave(_Last):
    """Trains the last layer."""

    breaks = "saves_and_loads"

    def save(self, model: Any, directory: Path) -> None:
        super().save(model, directory)
        model.requires_grad_(requires_grad=False)


class LoadsOtherShapes(_Last):
    """Trains the last layer."""

    breaks = "load_refuses_other_names"

    def put(self, found: Any, own: Any) -> None:
        for name, tensor in found.items():
            own[name].data.copy_(tensor)


class SaysHowToLoadTheBase(_Last):
    """Trains the last layer."""

    breaks = "loading_gives_the_same_answers"

    def loading(self, base: str) -> str:
        return f"{base}\nfrom safetensors.torch import load_file\nload_file(directory + '/last.safetensors')"


class MergesNothing(_Last):
    """Scales the last states, and calls that a plain model."""

    breaks = "merges_to_the_same_answers"

    def attach(self, model: Any) -> Any:
        import torch

        class Scaled(torch.nn.Module):
            def __init__(self, inner: Any) -> None:
                super().__init__()
                self.inner, self.scale = inner, torch.nn.Parameter(torch.ones(64))

            def forward(self, states: Any) -> Any:
                return self.inner(states) * self.scale

        model.requires_grad_(requires_grad=False)
        model.model.norm = Scaled(model.model.norm)
        return model


class RoundsTheMerge(_Last):
    """Trains the last layer."""

    breaks = "merges_to_the_same_answers"

    def merge(self, model: Any) -> Any:
        for parameter in self.kept(model).values():
            parameter.data = (parameter.data * 8).round() / 8
        return model


class CannotBeSwitchedOff(_Last):
    """Trains the last layer."""

    breaks = "without_is_the_base"
    switchable = True


class LeavesFlagsOn(_Last):
    """Trains the last layer."""

    breaks = "without_is_the_base"

    def without(self, model: Any) -> Any:
        from contextlib import ExitStack

        stack = ExitStack()
        stack.callback(model.requires_grad_, requires_grad=True)
        return stack


class _Small(Regularizer):
    def __init__(self, weight: float = 0.1) -> None:
        self.weight = weight

    def penalty(self, forward: Forward) -> Term | None:
        return Term(self.weight * self.summed(forward), "token")

    def summed(self, forward: Forward) -> Any:
        return forward.hidden[forward.supervised].float().square().mean(-1).sum()


class DoesNothing(Regularizer):
    """Keeps states small."""

    breaks = "does_something"


class IsDetached(_Small):
    """Keeps states small.

    Args:
        weight: Factor.
    """

    breaks = "does_something"

    def penalty(self, forward: Forward) -> Term | None:
        return Term(self.weight * self.summed(forward).detach(), "token")


class PenalizesNothing(_Small):
    """Keeps states small.

    Args:
        weight: Factor.
    """

    breaks = "does_something"

    def penalty(self, forward: Forward) -> Term | None:
        return Term(0.0 * self.weight * self.summed(forward), "token")


class PerturbsNothing(Regularizer):
    """Noise on embeddings."""

    breaks = "does_something"

    def perturb(self, embeddings: Any, batch: Any) -> Any:
        return embeddings * 1.0


class AveragesTokens(_Small):
    """Keeps states small.

    Args:
        weight: Factor.
    """

    breaks = "penalty_adds_up"

    def penalty(self, forward: Forward) -> Term | None:
        return Term(self.weight * self.summed(forward) / max(1, len(forward.supervised)), "token")


class CallsTokensOfPenaltiesExamples(_Small):
    """Keeps states small.

    Args:
        weight: Factor.
    """

    breaks = "penalty_counts_its_unit"

    def penalty(self, forward: Forward) -> Term | None:
        return Term(self.weight * self.summed(forward), "example")


class SumsOverAllTokens(_Small):
    """Keeps states small.

    Args:
        weight: Factor.
    """

    breaks = "penalty_counts_its_unit"

    def penalty(self, forward: Forward) -> Term | None:
        return Term(self.weight * forward.hidden.float().square().mean(-1).sum(), "token")


class TakesSequencesForRows(_Small):
    """Keeps mean states of rows small.

    Args:
        weight: Factor.
    """

    breaks = "penalty_adds_up"

    def penalty(self, forward: Forward) -> Term | None:
        places = forward.batch.cu_seqlens.tolist()
        rows = [forward.hidden[places[at] : places[at + 1]] for at in range(len(forward.batch.examples))]
        return Term(self.weight * sum(row.float().mean(0).square().sum() for row in rows), "example")


class AveragesNothing(_Small):
    """Keeps states small.

    Args:
        weight: Factor.
    """

    breaks = "penalty_of_nothing_is_finite"

    def penalty(self, forward: Forward) -> Term | None:
        states = forward.hidden[forward.supervised]
        return Term(self.weight * states.square().mean() * len(states), "token")


class HasAnIdleAdversary(_Small):
    """Keeps states small.

    Args:
        weight: Factor.
    """

    breaks = "penalty_trains_its_own_module"

    def module(self) -> Any:
        from torch import nn

        return nn.Linear(64, 2)


class ForgetsWhatItPrepared(_Small):
    """Keeps states small, by how large they were.

    Args:
        weight: Factor.
    """

    breaks = "prepared_state_is_kept"

    def setup(self, model: Any) -> None:
        self.scale = 1.0

    def prepare(self, forwards: Any) -> None:
        self.scale = sum(float(forward.hidden.detach().square().mean()) for forward in forwards)

    def penalty(self, forward: Forward) -> Term | None:
        return Term(self.weight * self.scale * self.summed(forward), "token")


class SquaresTheWeight(_Small):
    """Keeps states small.

    Args:
        weight: Factor.
    """

    breaks = "weight_scales_the_penalty"

    def penalty(self, forward: Forward) -> Term | None:
        return Term(self.weight**2 * self.summed(forward), "token")


class LeavesAHook(_Small):
    """Keeps states small.

    Args:
        weight: Factor.
    """

    breaks = "is_off_in_evaluation"

    def setup(self, model: Any) -> None:
        model.model.embed_tokens.register_forward_hook(lambda _module, _inputs, output: output * 1.5)


class DrawsGlobally(_Small):
    """Keeps states small.

    Args:
        weight: Factor.
    """

    breaks = "penalty_leaves_no_trace"

    def penalty(self, forward: Forward) -> Term | None:
        import torch

        torch.rand(1)
        return super().penalty(forward)


class StaysInEvaluation(_Small):
    """Keeps states small.

    Args:
        weight: Factor.
    """

    breaks = "penalty_leaves_no_trace"

    def penalty(self, forward: Forward) -> Term | None:
        forward._passes.network.eval()  # type: ignore[attr-defined]
        return super().penalty(forward)


class LogsMeans(_Small):
    """Keeps states small.

    Args:
        weight: Factor.
    """

    breaks = "penalty_logs_what_it_says"

    def logs(self) -> list[str]:
        return ["size"]

    def penalty(self, forward: Forward) -> Term | None:
        return Term(self.weight * self.summed(forward), "token", {"size": forward.weights})


class ScalesByTheFirst(_Small):
    """Keeps states small.

    Args:
        weight: Factor.
    """

    breaks = "keeps_nothing_between_calls"

    def __init__(self, weight: float = 0.1) -> None:
        self.weight = weight
        self._scale = None

    def penalty(self, forward: Forward) -> Term | None:
        if self._scale is None:
            self._scale = float(forward.hidden.detach().float().square().mean())
        return Term(self.weight * self.summed(forward) / self._scale, "token")


class DrawsByPlace(Regularizer):
    """Noise on embeddings."""

    breaks = "perturb_depends_on_the_row_alone"

    def perturb(self, embeddings: Any, batch: Any) -> Any:
        import torch

        noise = torch.randn(embeddings.shape, generator=torch.Generator().manual_seed(1))
        return embeddings + 0.1 * noise


class SwitchesTheModel(Audit):
    """Looks at the model."""

    breaks = "leaves_the_subject_as_it_is"
    needs = frozenset({"model"})

    def examine(self, subject: Subject) -> Findings:
        subject.model.specialist.network.eval()  # type: ignore[union-attr]
        return Findings("a model", "none")

"""The LightningModule: a base model with an adapter, an objective and regularizers."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer

from tunesmith.data.batch import Batch
from tunesmith.data.encode import encode_alone
from tunesmith.data.encoded_rows import EncodedRow
from tunesmith.data.example import Example
from tunesmith.data.render import ChatRenderer
from tunesmith.plugins.interfaces import Adapter, Objective, Regularizer
from tunesmith.training import folder
from tunesmith.training.attach import Attached, Checkpointing, Untouched, attach
from tunesmith.training.card import Card
from tunesmith.training.compiling import Compile
from tunesmith.training.hub_commit import loaded_commit
from tunesmith.training.kernels import Kernels, choosing
from tunesmith.training.ledger import Ledger
from tunesmith.training.optimizer import reapply
from tunesmith.training.own_term import with_own_term
from tunesmith.training.passes import Passes
from tunesmith.training.precision import Format, Precision, autocast, chosen, resolve, storage
from tunesmith.training.probe import Probe, probe
from tunesmith.training.process_memory import keep_freed
from tunesmith.training.schedule import Schedule
from tunesmith.training.stepping import Stepping
from tunesmith.training.terms import names_of
from tunesmith.training.with_base import Pretrained

if TYPE_CHECKING:
    from tunesmith.data.truncate import Truncation


class Specialist(Stepping):
    """Turns a base model into a specialist.

    Args:
        base: A hub id, a path, or `package://import_name/path` of a directory or a GGUF file.
        objective: How examples become sequences, and the loss.
        adapter: Which parameters train.
        regularizers: Further terms of the loss, by the name under which they are logged.
        optimizer: Makes the optimizer from parameter groups; weight decay falls on matrices only.
        schedule: Learning rates by optimizer step.
        precision: fp32; bf16 (frozen weights and products, trained weights stay fp32); auto: bf16 on a GPU that has it
            and on a CPU with AMX.
        compile: Fuse each layer's small operations by torch.compile; auto: where it gains, which it does not on a CPU.
        kernels: auto: norms, positions, attention's derivative and the adapter's layers in fewer passes over memory,
            where that was measured to gain: on a CPU; plain: as transformers and peft have them.
        template: A chat template (Jinja) where the base has none or another is wanted.
        from_scratch: Start from random weights; the base gives configuration and tokenizer.
        gradient_checkpointing: Compute activations again in backward: a third slower, much less memory; selective does
            so in every second layer: half of both.
        router_aux_loss_coef: Factor of the loss that balances experts; null for what the base's own config says.
    """

    def __init__(
        self,
        base: str,
        objective: Objective,
        adapter: Adapter,
        regularizers: dict[str, Regularizer] = {},  # noqa: B006
        optimizer: Callable[[Iterable[Any]], Optimizer] = AdamW,
        schedule: Schedule = Schedule(),  # noqa: B008
        precision: Precision = "auto",
        compile: Compile = "auto",  # noqa: A002
        kernels: Kernels = "auto",
        template: str | None = None,
        from_scratch: bool = False,
        gradient_checkpointing: Checkpointing = False,
        router_aux_loss_coef: float | None = None,
    ) -> None:
        super().__init__()
        self.base = base
        self.revision: str | None = None  # of a hub id: the newest commit, unless a lock names one
        self.objective = objective
        self.adapter = adapter
        self.regularizers = with_own_term(adapter, regularizers)
        self.optimizer_factory = optimizer
        self.schedule = schedule
        self.precision = precision
        self.runs_on = torch.device("cuda" if torch.cuda.is_available() else "cpu")  # until a recipe says it
        self.compiling = compile
        self.kernels = kernels
        self.template = template
        self.from_scratch = from_scratch
        self.gradient_checkpointing = gradient_checkpointing
        self.router_aux_loss_coef = router_aux_loss_coef
        self.ledger = Ledger(names_of(objective, self.regularizers, router=True))

    def load(self) -> None:
        """Load tokenizer and base, attach the adapter, and find the layout; does nothing the second time.

        Raises:
            DataError: The base cannot be loaded or cannot be trained here.
            RecipeError: The method does not fit the base.
        """
        if self.attached is not None:
            return
        self.schedule.check()
        self.check_regularizers()
        self.attached = self._attach(self.adapter, self.regularizers)
        if self.revision is None:
            self.revision = loaded_commit(self.base)
        self.network, self.tokenizer = self.attached.network, self.attached.tokenizer
        self.renderer = ChatRenderer(self.tokenizer, self.template)
        self.extras = self.attached.extras
        self.settle(self.attached)
        for regularizer in self.regularizers.values():
            regularizer.setup(self.network)
        self.name_trained()
        self.train()

    def settle(self, attached: Attached) -> None:
        """Run as the probe found."""
        self.attached = attached
        self.layout, self.layout_reason = attached.probe.layout, attached.probe.reason
        self.passes = self._passes(attached, self.adapter, None if self.adapter.switchable else self._base_passes)

    def _base_passes(self) -> Passes:
        self.load_baseline()
        return self._passes(self._copies[Pretrained(self.base, self.revision)], Untouched(), None)

    def _attach(
        self, adapter: Adapter, regularizers: Mapping[str, Regularizer], base: Pretrained | None = None
    ) -> Attached:
        base = base or Pretrained(self.base, self.revision)
        with choosing(self.kernels):
            attached = attach(
                base.base,
                self.objective,
                adapter,
                regularizers,
                dtype=storage(self.format),
                autocast=self.autocast,
                from_scratch=self.from_scratch,
                gradient_checkpointing=self.gradient_checkpointing,
                router=self.router_aux_loss_coef,
                revision=base.revision,
            )
        return self.sharded(attached)

    def _passes(self, attached: Attached, adapter: Adapter, base: Callable[[], Passes] | None) -> Passes:
        perturbing = (r for r in self.regularizers.values() if type(r).perturb is not Regularizer.perturb)
        return Passes(
            network=attached.network,
            model=attached.model,
            layout=attached.probe.layout,
            head=attached.probe.head,
            adapter=adapter,
            autocast=self.autocast,
            perturbations=tuple(perturbing),
            base=base,
            router=attached.router,
            root=attached.root,
            pool=attached.probe.pool,
            ahead=0 if self.objective.model_class == "masked" and not attached.both_ways else 1,
            both_ways=attached.both_ways,
            encode=self._encode,
        )

    def _encode(self, examples: Sequence[Example]) -> list[EncodedRow]:
        """Rows beside those of the splits, as long at most as theirs."""
        data: Any = None if self._trainer is None else getattr(self.trainer, "datamodule", None)
        longest: int | None = getattr(data, "max_length", None)
        truncation: Truncation = getattr(data, "truncation", "right")
        closing = None if self.objective.model_class == "causal" else self.renderer.closing_id
        marks = (self.renderer.bos_id, closing)
        return encode_alone(examples, self.objective, self.renderer, longest, truncation, marks)

    def _probe(self) -> Probe:
        assert self.attached is not None
        classes, both_ways = self.objective.model_class == "classification", self.attached.both_ways
        return probe(self.network, self.adapter.layout, self.autocast, classes=classes, both_ways=both_ways)

    @property
    def format(self) -> Format:
        """Number format of frozen weights and products, for the device that the run is for."""
        return resolve(self.precision, self.runs_on)

    def autocast(self) -> AbstractContextManager[None]:
        """Context of every forward pass, generation included."""
        return autocast(self.format, self.device)

    def describe(self) -> str:
        """The adapter and the share of the parameters that it trains."""
        assert self.attached is not None
        trained, total = self.attached.sizes()
        return f"{type(self.adapter).__name__}: {trained:,} of {total:,} parameters ({trained / total:.2%})"

    def describe_precision(self) -> str:
        """Number formats of frozen weights, trained weights and products."""
        assert self.attached is not None
        return f"{chosen(self.precision, self.runs_on)}{self.attached.quantization()}"

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """Return what makes the window's gradient the exact mean over its tokens on all ranks."""
        assert self.stream is not None
        assert batch.window is not None
        for regularizer in self.regularizers.values():
            regularizer.advance(self.global_step, self.whole_run)
        with self.stream.running():
            terms = self.terms(self.passes(batch))
        self.ledger.add(batch, terms)
        return self.weighed(batch, terms)

    def on_fit_start(self) -> None:
        """Probe again where the model has moved: another device has another attention kernel."""
        assert self.attached is not None
        if self._trainer is not None and type(self.objective).prepare is not Objective.prepare:
            rows = self.trainer.datamodule.encoded("train").rows  # type: ignore[attr-defined]
            self.objective.prepare(row.example for row in rows)
        if self.device.type == "cpu":
            keep_freed()
        else:
            before = self.layout
            with self.gathered(), choosing(self.kernels):
                self.settle(replace(self.attached, probe=self._probe()))
            if self.layout != before and self._trainer is not None:  # `preview` has none
                self.print(f"layout on {self.device.type} is {self.layout}, not {before}: {self.layout_reason}")

    def on_train_start(self) -> None:
        """Take up the random state of the checkpoint, or begin one that depends on seed and rank alone."""
        # asking for the number of steps set the loader up before Lightning had its position to load (trap 26)
        self.trainer.fit_loop._load_combined_loader_states()
        resumed = self.start_stream(torch.initial_seed() + self.global_rank)
        reapply(self.optimizer_options, self.trainer.optimizers[0], self._rates, self.options_then)
        if not resumed:
            self.prepare_regularizers()
        self.ledger.restart_clock()

    def save_adapter(self, directory: Path) -> None:
        """Write the adapter in its own format; tokenizer, chat template, modules of plugins and a README beside it."""
        assert self.attached is not None
        with self.whole() as first:
            if first:
                folder.save(directory, self.adapter, self.attached)
        if first:
            Card.of(self).write(directory)

    def load_adapter(self, directory: Path) -> None:
        """Read what `save_adapter` wrote."""
        self.load()
        assert self.attached is not None
        folder.load(directory, self.adapter, self.attached)

"""The README beside what was trained: what it is, and Python that loads it without tunesmith."""

import inspect
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import yaml

from tunesmith.plugins.interfaces import Adapter
from tunesmith.recipe.lock import base_revision, environment
from tunesmith.recipe.package_fs import PROTOCOL, resolve
from tunesmith.training.attach import Attached
from tunesmith.training.base import REPACKS, GgufConfig
from tunesmith.training.base_place import locate
from tunesmith.training.precision import storage

if TYPE_CHECKING:
    from tunesmith.training.specialist import Specialist

_CHAT = """\
messages = [{"role": "user", "content": "Hello"}]
inputs = tokenizer.apply_chat_template(
    messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
).to(model.device)"""
_TEXT = 'inputs = tokenizer("Hello", return_tensors="pt").to(model.device)'
_ANSWER = """\
    answer = model.generate(**inputs, max_new_tokens=64, do_sample=False)
print(tokenizer.decode(answer[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))"""
_FILL = 'inputs = tokenizer("Hello " + tokenizer.mask_token, return_tensors="pt").to(model.device)'
_FILLED = """\
    logits = model(**inputs).logits[0]
at = (inputs["input_ids"][0] == tokenizer.mask_token_id).nonzero()[0, 0]
print(tokenizer.decode(logits[at].argmax()))"""
_CLASSES = """\
    shares = model(**inputs).logits[0].float().{function}
print({{name: round(float(shares[at]), 4) for at, name in model.config.id2label.items()}})"""
_FLAG_LINES = f"""\
# bitsandbytes repacks 4-bit weights in evaluation on processors with AVX512-BF16, which rounds them:
# training switched that off, and without these lines logits there are about 0.5 % off
for part in model.modules():
    if hasattr(part, "{REPACKS}"):
        part.{REPACKS} = False"""


@dataclass(frozen=True, slots=True)
class Card:
    """What a README says.

    Args:
        base: What `model.base` says.
        adapter: Says how what it saved is loaded.
        attached: The model that was trained.
        trained: What trains, in words.
        precision: The number formats, in words.
        dtype: Format of the frozen weights; products are computed in it.
        from_scratch: Whether the base's weights were random.
        commit: Of a base on the hub.
    """

    base: str
    adapter: Adapter
    attached: Attached
    trained: str
    precision: str
    dtype: torch.dtype
    from_scratch: bool = False
    commit: str | None = None

    @classmethod
    def of(cls, module: "Specialist") -> "Card":
        """The card of what a loaded Specialist trained."""
        assert module.attached is not None
        return cls(
            base=module.base,
            adapter=module.adapter,
            attached=module.attached,
            trained=module.describe(),
            precision=module.describe_precision(),
            dtype=storage(module.format),
            from_scratch=module.from_scratch,
            commit=module.revision,
        )

    def write(self, directory: Path) -> None:
        """Write `README.md`, in place of one that the adapter wrote; its metadata stay."""
        place = resolve(self.base)
        facts = {
            "base": f"`{self.base}`" + (", its weights random" if self.from_scratch else ""),
            "the base's revision": f"`{base_revision(place, self.commit)}`",
            **({"the base's licence": f"`{licence}`"} if (licence := _licence(place)) else {}),
            "trained": self.trained,
            "precision": self.precision,
            "made with": ", ".join(f"{n} {v}" for n, v in environment().items() if v != "absent"),
        }
        name = type(self.adapter).__name__
        how = f"`{name}` does not say how; tunesmith loads it.\n"
        if lines := self.loading():
            how = _how(lines, self.dtype, *self._question())
        if self.attached.extras.state_dict():
            how += "\n`extras.safetensors` holds modules that plugins trained beside it; nothing above reads them.\n"
        path = directory / "README.md"
        task = "text-classification" if self._classes else "fill-mask" if self._masked else "text-generation"
        metadata = yaml.safe_dump(_metadata(path, task, self.base if isinstance(place, str) else None, licence))
        table = "\n".join(f"| {what} | {value} |" for what, value in facts.items())
        text = f"# {name} over {self.base}\n\n| | |\n|---|---|\n{table}\n\n## Load it\n\n{how}"
        path.write_text(f"---\n{metadata}---\n\n{text}", encoding="utf-8")

    def loading(self) -> str:
        """Python that makes `model` from the folder `directory`; empty where the adapter does not say how."""
        lines = self.adapter.loading(self._base_lines(resolve(self.base)))
        return lines.replace("AutoModelForCausalLM", self._auto)

    @property
    def _classes(self) -> bool:
        return self.attached.probe.pool is not None

    @property
    def _masked(self) -> bool:
        return type(self.attached.model).__name__.endswith("ForMaskedLM")

    @property
    def _auto(self) -> str:
        """Transformers' class that loads such a model."""
        if self._classes:
            return "AutoModelForSequenceClassification"
        return "AutoModelForMaskedLM" if self._masked else "AutoModelForCausalLM"

    def _question(self) -> tuple[str, str]:
        """Python that makes `inputs` of a text, and that says what the model makes of them."""
        if self._classes:
            several = self.attached.model.config.problem_type == "multi_label_classification"
            return _TEXT, _CLASSES.format(function="sigmoid()" if several else "softmax(-1)")
        if self._masked:
            return _FILL, _FILLED
        return (_CHAT if self.attached.tokenizer.chat_template else _TEXT), _ANSWER

    def _base_lines(self, place: Path | str) -> str:
        """Python that does what `load_base` did."""
        folder, files = locate(self.base, place)
        lines = ["from transformers import AutoModelForCausalLM", *_place_lines(self.base, folder)]
        where = ["base", *([f"revision={self.commit!r}"] if isinstance(place, str) and self.commit else [])]
        where += [f"gguf_file={files['gguf_file']!r}"] if "gguf_file" in files else []
        options = {"dtype": self.dtype} | self.adapter.load_options()
        options = {name: _source(value) for name, value in options.items() if name != "quantization_config"}
        if self._classes:
            lines.append("from transformers import AutoConfig")
            options = {"config": "AutoConfig.from_pretrained(directory)", "ignore_mismatched_sizes": "True"} | options
        if self.from_scratch:
            lines += ["from transformers import AutoConfig", f"torch.manual_seed({self.attached.seed})"]
            config = options.get("config", f"AutoConfig.from_pretrained({', '.join(where)})")
            return "\n".join([*lines, f"model = AutoModelForCausalLM.from_config({config}, dtype={options['dtype']})"])
        if quantization := self._quantization():
            lines.append(f"from transformers import {quantization.partition('(')[0]}")
            options["quantization_config"] = quantization
            options["device_map"] = '{"": 0 if torch.cuda.is_available() else "cpu"}'
        elif "gguf_file" in files and GgufConfig is not None:
            lines.append("from transformers import GgufConfig")
            options["quantization_config"] = "GgufConfig(dequantize=True)"
        arguments = "".join(f"    {a},\n" for a in [*where, *(f"{n}={v}" for n, v in options.items())])
        lines.append(f"model = AutoModelForCausalLM.from_pretrained(\n{arguments})")
        if any(hasattr(module, REPACKS) for module in self.attached.model.modules()):
            lines.append(_FLAG_LINES)
        return "\n".join(lines)

    def _quantization(self) -> str:
        """The constructor call of the quantisation that the adapter asked for, as it was used; empty without one."""
        if "quantization_config" not in self.adapter.load_options():
            return ""
        config = self.attached.model.config.quantization_config
        known = inspect.signature(type(config)).parameters
        # defaults too: another version may have others
        arguments = [f"        {name}={_source(value)},\n" for name, value in config.to_dict().items() if name in known]
        return f"{type(config).__name__}(\n{''.join(arguments)}    )"


def _metadata(path: Path, task: str, hub_id: str | None, licence: str) -> dict[str, Any]:
    found = _head(path) | {"base_model": hub_id, "pipeline_tag": task}
    found |= {"license": licence} if licence else {}
    if hub_id is None and "tags" in found:  # the hub takes ids only, and a path would tell whose machine it was
        found["tags"] = [tag for tag in found["tags"] if not str(tag).startswith("base_model:")]
    return {name: value for name, value in found.items() if value is not None}


def _head(path: Path) -> dict[str, Any]:
    """The YAML at the head of a README; empty where there is none, or it cannot be read."""
    try:
        head = path.read_text(encoding="utf-8").split("---\n")
        found = yaml.safe_load(head[1]) if len(head) > 2 and not head[0] else None
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def _licence(place: Path | str) -> str:
    """The licence that a base's own README states, which holds for what is made of it too; empty where none is."""
    folder = place.parent if isinstance(place, Path) and place.is_file() else place
    stated = _head(folder / "README.md").get("license") if isinstance(folder, Path) else None
    return stated if isinstance(stated, str) and stated != "unknown" else ""


def _how(lines: str, dtype: torch.dtype, asked: str, answered: str) -> str:
    """The section with the Python: import lines first, then the adapter's lines, then a question to the model."""
    context = "torch.inference_mode()"
    if dtype != torch.float32:
        context += f", torch.autocast(model.device.type, {dtype})"
    parts = f"""\
import torch
from transformers import AutoTokenizer
{lines}
model.eval()
tokenizer = AutoTokenizer.from_pretrained(directory)

{asked}
with {context}:
{answered}"""
    imports = {line for line in parts.splitlines() if line.startswith(("import ", "from "))}
    rest = "\n".join(line for line in parts.splitlines() if line not in imports).strip("\n")
    code = "\n".join([*_merged(imports), "", 'directory = "."  # the folder that holds this file', "", rest])
    rounding = "" if dtype == torch.float32 else f", up to the rounding of {dtype}"
    return f"Without tunesmith; this gives the logits of the run{rounding}:\n\n```python\n{code}\n```\n"


def _merged(imports: set[str]) -> list[str]:
    """Import lines in order, one a module."""
    names: dict[str, list[str]] = {}
    for line in sorted(imports):
        module, _, name = line.partition(" import ")
        names.setdefault(module, []).extend([name] if name else [])
    return [f"{module} import {', '.join(found)}" if found else module for module, found in sorted(names.items())]


def _place_lines(base: str, folder: str) -> list[str]:
    if not base.startswith(PROTOCOL):
        comment = "  # where it was; write where it is" if Path(folder).is_absolute() else ""
        return [f"base = {folder!r}{comment}"]
    name = base.removeprefix(PROTOCOL).strip("/").partition("/")[0]
    spec = find_spec(name)
    roots = list((spec and spec.submodule_search_locations) or ())
    index = next(i for i, root in enumerate(roots) if Path(folder).is_relative_to(root))
    inner = Path(folder).relative_to(roots[index]).as_posix()
    # found, not imported: `importlib.resources.files` would run the package, and ask for what it imports
    found = f"find_spec({name!r}).submodule_search_locations[{index}]"
    return ["from importlib.util import find_spec", "from pathlib import Path", f"base = Path({found}, {inner!r})"]


def _source(value: Any) -> str:
    return str(value) if isinstance(value, torch.dtype) else repr(value)

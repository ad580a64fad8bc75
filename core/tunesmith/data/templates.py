"""Chat templates for bases that have none, and how `model.template` names one.

Each marks what the assistant says with `{% generation %}` and closes it with a token that ends generation. BOS is not
written here: the renderer puts it in front for tokenizers that open text with it.
"""

from pathlib import Path

from tunesmith.errors import RecipeError
from tunesmith.nearest import did_you_mean

# Turns under each other without a mark; for a task that a base learns from scratch.
PLAIN = """\
{%- for message in messages -%}
  {%- if message['role'] == 'assistant' -%}
    {%- generation -%}{{- message['content'] | trim + eos_token -}}{%- endgeneration -%}
  {%- else -%}
    {{- message['content'] | trim + '\\n' -}}
  {%- endif -%}
{%- endfor -%}
"""

# OpenAI's ChatML, as Qwen, SmolLM and many others have it, without a system turn of its own.
CHATML = """\
{%- for message in messages -%}
  {{- '<|im_start|>' + message['role'] + '\\n' -}}
  {%- if message['role'] == 'assistant' -%}
    {%- generation -%}{{- message['content'] | trim + '<|im_end|>' -}}{%- endgeneration -%}{{- '\\n' -}}
  {%- else -%}
    {{- message['content'] | trim + '<|im_end|>\\n' -}}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
"""

# Stanford Alpaca's headings (Taori et al. 2023).
INSTRUCT = """\
{%- set headings = {'user': '### Instruction:\\n', 'tool': '### Input:\\n'} -%}
{%- for message in messages -%}
  {%- if not loop.first -%}{{- '\\n\\n' -}}{%- endif -%}
  {%- if message['role'] == 'assistant' -%}
    {{- '### Response:\\n' -}}
    {%- generation -%}{{- message['content'] | trim + eos_token -}}{%- endgeneration -%}
  {%- else -%}
    {{- headings.get(message['role'], '') + message['content'] | trim -}}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '\\n\\n### Response:\\n' -}}{%- endif -%}
"""

NAMED = {"plain": PLAIN, "chatml": CHATML, "instruct": INSTRUCT}
CHOICES = f"{', '.join(NAMED)}, or the path of a jinja file"
_NEEDS = {"chatml": ("<|im_start|>", "<|im_end|>")}


def find_template(template: str, vocabulary: set[str], end: str | None) -> tuple[str, str]:
    """Find what `model.template` names.

    Args:
        template: A name in `NAMED` or the path of a jinja file.
        vocabulary: Tokens that the base's tokenizer takes whole.
        end: Its end-of-sequence token.

    Returns:
        The template's source, and where it came from, in words.

    Raises:
        RecipeError: There is no such template, or the base lacks a token that it needs.
    """
    if template not in NAMED:
        path = Path(template)
        if path.is_file():
            return path.read_text(encoding="utf-8"), f"model.template: {path}"
        near = did_you_mean(template, NAMED)
        msg = f"model.template: {template} is neither a file nor the name of a template{near}; it takes {CHOICES}"
        raise RecipeError(msg)
    missing = [token for token in _NEEDS.get(template, ()) if token not in vocabulary]
    if missing:
        names = " and ".join(missing)
        msg = f"model.template: {template} needs {names}, which this base's tokenizer lacks; try plain or instruct"
        raise RecipeError(msg)
    if end is None and "eos_token" in NAMED[template]:
        msg = (
            f"model.template: {template} closes turns with the end-of-sequence token, which this base's tokenizer lacks"
        )
        raise RecipeError(msg)
    return NAMED[template], f"model.template: {template}"

"""What embedding and comparing rows costs: SemanticDuplicates, Outliers and Diversity by number of rows.

    python tests/benchmarks/semantic.py --model FOLDER [--rows 10000 50000] [--curators SemanticDuplicates ...]

Rows are made up: prompts of 15 words and answers of 25, of 3,000 words with Zipf's frequencies, a tenth of them near
copies of others. Each curator runs in a process of its own with `--threads` threads; the peak is its resident memory.
Seconds are of processor time, all threads together, which other programs change less than wall time.
"""

import argparse
import sys
import time
from pathlib import Path

from machine import header, need, run, table

CURATORS = ("SemanticDuplicates", "Outliers", "Diversity")


def main() -> None:
    """Measure each curator at each size, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="folder of an embedding model")
    parser.add_argument("--rows", nargs="+", type=int, default=[10_000, 50_000])
    parser.add_argument("--curators", nargs="+", choices=CURATORS, default=list(CURATORS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child[0], int(options.child[1]), options.model)
        return
    header(f"Curators by embeddings, {options.model.name}")
    lines = []
    for name in options.curators:
        for count in options.rows:
            command = [sys.executable, __file__, "--model", options.model.resolve(), "--child", name, str(count)]
            cost = run(command, threads=options.threads)
            need(cost, name)
            embedding, rest, wall, dropped = cost.output.split()[-4:]
            peak = f"{cost.peak / 2**20:.0f}"
            lines.append((name, f"{count:,}", embedding, rest, wall, peak, dropped))
    table(("curator", "rows", "embedding, s", "the rest, s", "wall, s", "peak, MiB", "dropped"), lines)


def child(name: str, count: int, model: Path) -> None:
    """Curate once; print seconds of embedding and of the rest, wall seconds, and how many rows were dropped."""
    import numpy as np

    from tunesmith import Example, Message
    from tunesmith.data.curate import Tally
    from tunesmith.plugins.catalog import Catalog
    from tunesmith_plugins.curators.embedding import rows

    drawn = np.random.default_rng(0)
    words = np.array(vocabulary(model))
    chances = 1 / np.arange(1, len(words) + 1)
    chances /= chances.sum()

    def text(length: int) -> list[str]:
        return list(drawn.choice(words, length, p=chances))

    made: list[tuple[list[str], list[str]]] = []
    for at in range(count):
        if at % 10 == 9:
            prompt, answer = made[int(drawn.integers(len(made)))]
            prompt, answer = [*prompt[:-1], *text(1)], [*answer[:-1], *text(1)]
        else:
            prompt, answer = text(15), text(25)
        made.append((prompt, answer))
    examples = [
        Example(messages=(Message("user", " ".join(p)), Message("assistant", " ".join(a))), id=str(at))
        for at, (p, a) in enumerate(made)
    ]
    del made
    plugin = next(entry.cls for entry in Catalog.load(block=[]).entries if entry.cls.__name__ == name)
    spent = 0.0
    embed = rows.embedded

    def timed(*arguments: object) -> rows.Rows:
        nonlocal spent
        begin = time.process_time()
        made = embed(*arguments)  # type: ignore[arg-type]
        spent = time.process_time() - begin
        return made

    rows.embedded = timed
    tally = Tally(0)
    begin, wall = time.process_time(), time.perf_counter()
    list(plugin(model=model).apply(iter(examples), tally))  # type: ignore[attr-defined]
    rest = time.process_time() - begin - spent
    print(f"{spent:.1f} {rest:.1f} {time.perf_counter() - wall:.1f} {len(tally.dropped)}")


def vocabulary(model: Path) -> list[str]:
    """The first 3,000 words of the model's own vocabulary."""
    from tokenizers import Tokenizer

    names = Tokenizer.from_file(str(model / "tokenizer.json")).get_vocab()
    whole = (name for name in names if name.isascii() and name.isalpha() and len(name) > 2)
    return sorted(whole, key=lambda name: names[name])[:3000]


if __name__ == "__main__":
    main()

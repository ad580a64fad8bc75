"""Curation of many rows: seconds of each step, memory, and what the next run has to do.

    python tests/benchmarks/data_room.py 10000 100000 1000000

Rows are notes of some 300 tokens in which 5 % are copies, 5 % near-copies, 10 % need cleaning, and all hold a name, a
date, a phone number and a record number. Each number of rows runs in a process of its own.
"""

import json
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.data.cache import Cache
from tunesmith.data.pipeline import Curated, curate
from tunesmith.data.sources import Source
from tunesmith.data.split import Split
from tunesmith_plugins.curators.anonymise import Anonymise
from tunesmith_plugins.curators.clean import Clean
from tunesmith_plugins.curators.exact_duplicates import ExactDuplicates
from tunesmith_plugins.curators.near_duplicates import NearDuplicates
from tunesmith_plugins.formatters.prompt_completion import PromptCompletion

if TYPE_CHECKING:
    from tunesmith import Curator

_WORDS = 3000
_MB = 1 << 20


def main() -> None:
    """Measure each size in a process of its own, and print seconds and what they grow by."""
    sizes = [int(size) for size in sys.argv[1:]] or [10_000]
    if len(sizes) == 1:
        measure(sizes[0])
        return
    for size in sizes:
        subprocess.run([sys.executable, __file__, str(size)], check=True)


def measure(size: int) -> None:
    """Write rows, curate them, once more, and with a curator changed."""
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name)
        write(folder / "notes.jsonl", size)
        written = (folder / "notes.jsonl").stat().st_size / _MB
        watch = Watch()
        before = resource.getrusage(resource.RUSAGE_SELF)
        first, wall = run(folder, 0.8)
        used = resource.getrusage(resource.RUSAGE_SELF)
        busy = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
        print(f"{size:,} rows, {written:,.0f} MB: {wall:.1f} s ({busy:.1f} s of processor time)")
        for step, seconds in first.seconds.items():
            print(f"  {step:12} {seconds:8.1f} s {1e6 * seconds / size:8.0f} us a row")
        kept = sum(map(len, first.splits.values()))
        print(f"  {kept:,} rows stay; {json.dumps(first.counts['curators']['near']['drops'])}")
        own, mapped = watch.most / _MB, used.ru_maxrss / 1024
        print(f"  memory      {own:,.0f} MB of the process's own at most, {mapped:,.0f} with mapped files")
        again, wall = run(folder, 0.8)
        assert again.splits == first.splits or size > 20_000
        print(f"  again       {wall:.2f} s, made anew: {', '.join(again.seconds) or 'nothing'}")
        other, wall = run(folder, 0.7)
        print(f"  another threshold of the last curator {wall:.1f} s, made anew: {', '.join(other.seconds)}")
        stored = sum(path.stat().st_size for path in (folder / "cache").iterdir()) / _MB
        print(f"  cache       {stored:,.0f} MB")


def run(folder: Path, threshold: float) -> tuple[Curated, float]:
    """Curate the notes; returns the rows and the seconds."""
    curators: dict[str, Curator] = {
        "clean": Clean(),
        "anonymise": Anonymise(key_file=folder / "key"),
        "exact": ExactDuplicates(),
        "near": NearDuplicates(threshold),
    }
    begin = time.perf_counter()
    curated = curate(
        {"notes": Source(str(folder / "notes.jsonl"), PromptCompletion())},
        curators,
        Split(),
        seed=0,
        reject_limit=0.0,
        keep_rejected=False,
        rejected_file=None,
        cache=Cache(folder / "cache"),
    )
    return curated, time.perf_counter() - begin


class Watch:
    """The most memory of its own that the process has had: file pages that the system can drop are not counted."""

    def __init__(self) -> None:
        self.most = 0
        threading.Thread(target=self._look, daemon=True).start()

    def _look(self) -> None:
        while True:
            lines = Path("/proc/self/status").read_text().splitlines()
            self.most = max(self.most, *(int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon")))
            time.sleep(0.05)


def write(path: Path, size: int) -> None:
    """Notes, the same for the same size."""
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghiklmnoprstuvw", k=draw.randint(3, 10))) for _ in range(_WORDS)]
    names = ["Maria Keller", "John Abbot", "Ines Duarte", "Peter Novak", "Ruth Whitfield", "Omar Haddad"]
    (path.parent / "key").write_bytes(b"0" * 32)
    earlier: list[str] = []
    with path.open("w") as file:
        for number in range(size):
            kind = draw.random()
            if earlier and kind < 0.05:
                line = draw.choice(earlier)
            else:
                row = {
                    "prompt": " ".join(draw.choices(words, k=150)),
                    "completion": " ".join(draw.choices(words, k=30)),
                }
                if earlier and kind < 0.1:
                    row = json.loads(draw.choice(earlier))
                    row["prompt"] = row["prompt"].partition("Note: ")[2].rpartition(" ")[0]
                born = f"0{draw.randint(1, 9)}/1{draw.randint(0, 9)}/1957"
                told = f"born {born}, MRN {number:08}, phone 555-01{number % 100:02}"
                row["prompt"] = f"Patient: {draw.choice(names)}, {told}. Note: {row['prompt']}"
                if kind > 0.9:
                    row["prompt"] += "&nbsp;\x07  \n\n\n\n x"
                line = json.dumps(row)
                if len(earlier) < 2000:
                    earlier.append(line)
            file.write(line + "\n")


if __name__ == "__main__":
    main()

"""Runs assay-bench below callgrind and reads what was counted."""

import json
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from instruction_counts.endings import BadUsage, NotCounted

TIMEOUT_SECONDS = 900


@dataclass
class Counts:
    """Instructions an operation, by the names of benches, and why others are missing."""

    made_by: dict[str, str] = field(default_factory=dict)
    instructions: dict[str, float] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def take_least_of(self, other: "Counts") -> None:
        for name, count in other.instructions.items():
            self.instructions[name] = min(count, self.instructions.get(name, count))


def read_dumps(text: str) -> dict[str, int]:
    """The instructions of each dump of one `--combine-dumps=yes` file, by the name that the program gave it. What
    callgrind dumps by itself, at the end, has none."""
    sums: dict[str, int] = {}
    name = None
    for line in text.splitlines():
        if trigger := re.fullmatch(r"desc: Trigger: (?:Client Request: )?(.*)", line):
            name = trigger[1]
        elif line.startswith("part:"):
            name = None
        elif name is not None and (total := re.fullmatch(r"summary: (\d+)", line)):
            sums[name] = int(total[1])
            name = None
    return sums


def read_counts(lines: str, dumps: str) -> Counts:
    """What `assay-bench --instructions` printed, and what callgrind wrote meanwhile."""
    sums = read_dumps(dumps)
    counts = Counts()
    for line in map(json.loads, lines.splitlines()):
        if "compiler" in line:
            counts.made_by = line
        elif "left_out" in line:
            counts.left_out[line["name"]] = line["left_out"]
        else:
            once, twice = sums[f"{line['number']} once"], sums[f"{line['number']} twice"]
            counts.instructions[line["name"]] = (twice - once) / line["operations"]
    return counts


def count(program: Path, filters: list[str]) -> Counts:
    """Counts the benches whose names match one of these globs, in one process. NotCounted where it did not come to its
    end; BadUsage where there is no program, or no valgrind to run it."""
    if not program.is_file():
        raise BadUsage(f"{program} is not there; build it first: cmake --build {program.parent.parent} --target {program.name}")
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise BadUsage("there is no valgrind; ci/setup installs it")
    # Beside the program: reads need a file in the working directory that is on a disk, and /tmp may be none.
    with tempfile.TemporaryDirectory(dir=program.parent, prefix="instructions-") as folder:
        dumps = Path(folder) / "callgrind.out"
        command = [valgrind, "-q", "--tool=callgrind", "--instr-atstart=no", "--combine-dumps=yes",
                   f"--callgrind-out-file={dumps}", str(program.resolve()), "--instructions", "--preset", "full"]
        for pattern in filters:
            command += ["--filter", pattern]
        try:
            ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder,
                                   timeout=TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            raise NotCounted(f"assay-bench took more than {TIMEOUT_SECONDS} seconds below valgrind") from None
        if ended.returncode != 0:
            raise NotCounted(_why_it_stopped(ended))
        return read_counts(ended.stdout, dumps.read_text())


def _why_it_stopped(ended: subprocess.CompletedProcess) -> str:
    said = [line for line in ended.stderr.splitlines() if line.strip()]
    names = re.findall(r'"name":"([^"]*)"', ended.stdout)
    after = f" after {names[-1]}" if names else ""
    return f"exit status {ended.returncode}{after}: {said[-1] if said else 'it said nothing'}"

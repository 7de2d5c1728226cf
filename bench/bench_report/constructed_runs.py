"""Runs of the tests: JSON as `assay-bench` writes it, with times that a model gives. No part of what is installed."""

import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path

WORKS = {"nop": 40.0, "read": 500.0, "read_direct": 9000.0, "write": 700.0, "socketpair": 900.0, "tcp": 1800.0,
         "poll": 400.0, "timeout": 300.0, "cancel": 450.0}
PATHS = {"liburing": 1.0, "Ring": 0.99, "Backend": 1.08}
# By mode: what a system call costs, what an operation costs, and the process's CPU time beside elapsed time.
MODES = {"plain": (300.0, 1.0, 1.0), "coop": (290.0, 0.98, 1.0), "deferred": (260.0, 0.9, 1.0),
         "sqpoll": (500.0, 1.3, 1.9)}
OPTIONS = {"ringfd": (0.8, 1.0), "file": (1.0, 0.93), "buffer": (1.0, 0.97)}
CONTEXT = {"date": "2026-03-01T10:00:00+00:00", "host_name": "host", "num_cpus": 2, "mhz_per_cpu": 2400,
           "kernel": "6.18.5", "machine": "x86_64", "liburing": "2.3", "assay": "0.1.0", "preset": "quick",
           "repetitions": "9", "min_time_ms": "40", "perf_events": "none", "notes": ""}

# name, ns an operation, and counters that are the same in all repetitions.
Line = tuple[str, float, dict]


def entries(lines: Iterable[Line], repetitions: int, noise: float, seed: int = 1) -> list[dict]:
    """Works interleaved as the runner does it: a repetition of each row's paths in turn, rows by size, all slowed down
    alike where the machine is."""
    works: dict[str, list[tuple[int, Line]]] = {}
    for family, line in enumerate(lines):
        works.setdefault("/".join(line[0].split("/")[:2]), []).append((family, line))
    chance = random.Random(seed)
    made = []
    for work in works.values():
        work.sort(key=lambda each: int(each[1][0].rpartition(":")[2]))
        for repetition in range(repetitions):
            of_machine = 1 + noise * abs(chance.gauss(0, 1))
            for family, (name, ns, counters) in work:
                real = ns * of_machine * (1 + min(noise, 0.1) / 5 * chance.gauss(0, 1))
                cpu = {"cpu_ns_per_op": real * counters["cpu"]} if "cpu" in counters else {}
                made.append({"name": name, "family_index": family, "run_name": name, "run_type": "iteration",
                             "repetitions": repetitions, "repetition_index": repetition, "threads": 1,
                             "iterations": 1000, "real_time": real * 256, "cpu_time": real * 256, "time_unit": "ns",
                             "items_per_second": 1e9 / real, "ns_per_op": real, **cpu,
                             **{key: value for key, value in counters.items() if key != "cpu"}})
    return made


def path_line(work: str, mode: str, options: tuple[str, ...], path: str, size: int) -> Line:
    call, each, cpu = MODES[mode]
    for option in options:
        call, each = call * OPTIONS[option][0], each * OPTIONS[option][1]
    ns = (call / size + WORKS[work] * each) * PATHS[path]
    name = f"paths/{work}/{'+'.join([mode, *options])}/{path}/batch:{size}"
    return name, ns, {"cpu": cpu, "calls_per_op": 0.0 if mode == "sqpoll" else 1 / size, "cqes_per_enter": float(size)}


def path_lines(works: Iterable[str] = tuple(WORKS)) -> list[Line]:
    """The grid: every mode at every batch, single options at 1 and 32."""
    lines = []
    for work in works:
        lines += [path_line(work, mode, (), path, size)
                  for mode in MODES for size in (1, 2, 8, 32, 128) for path in PATHS]
        lines += [path_line(work, "deferred", (option,), path, size) for option in OPTIONS for size in (1, 32)
                  for path in PATHS if option != "buffer" or work in ("read", "write")]
    return lines


def peer_lines() -> list[Line]:
    lines = []
    for setup in ("self_ping", "undrained"):
        for size in (1, 64, 1024):
            for path, ns in (("epoll", 900.0), ("liburing", 1000.0), ("libevent", 1100.0), ("libev", 950.0),
                             ("asio, epoll", 1300.0), ("asio, io_uring", 2100.0), ("libuv", 1000.0),
                             ("Backend", 1020.0 if size == 1 else 700.0), ("Backend, drained", 820.0)):
                lines.append((f"peers/events/{setup}/{path}/fds:{size}", ns, {"cpu": 1.0}))
    for size in (1, 32, 128):
        for path, ns in (("libuv (threads)", 9000.0), ("asio, io_uring", 1400.0), ("Backend", 800.0)):
            counted = {"cpu": 1.4, "calls_per_op": 1 / size}
            lines.append((f"peers/file_reads/page_cache/{path}/depth:{size}", ns, counted))
    for size in (1000, 1000000):
        for path, ns in (("multimap", 83.0), ("libevent", 120.0), ("libev", 60.0), ("Backend", 20.0)):
            lines.append((f"peers/timer_move/heap/{path}/armed:{size}", ns, {}))
    return lines


def harness_lines() -> list[Line]:
    return [(f"harness/{work}/{setup}/{path}/batch:32", ns, {"cpu": 1.0}) for work, setup, path, ns in (
        ("ring_over_liburing", "plain", "liburing", 60.0), ("ring_over_liburing", "plain", "Ring", 60.2),
        ("drop_in", "plain", "liburing", 60.0), ("drop_in", "plain", "assay-liburing", 61.0),
        ("fault_kernel", "no plan", "LinuxKernel", 60.0), ("fault_kernel", "no plan", "FaultKernel", 95.0),
        ("sim_kernel", "linux-6.12", "LinuxKernel", 60.0), ("sim_kernel", "linux-6.12", "SimKernel", 410.0),
        ("fiu_point", "disabled", "fiu_fail", 3.1), ("ledger", "on", "without", 60.0), ("ledger", "on", "with", 72.0))]


def document(lines: Iterable[Line], repetitions: int = 9, noise: float = 0.005, seed: int = 1, **context) -> dict:
    return {"context": {**CONTEXT, **context}, "benchmarks": entries(lines, repetitions, noise, seed)}


def changed(told: dict, change: Callable[[str], float]) -> dict:
    """The same run with the times of some benches multiplied."""
    return {**told, "benchmarks": [{**entry, "ns_per_op": entry["ns_per_op"] * change(entry["name"])}
                                   for entry in told["benchmarks"]]}


def cut(told: dict, kept: Callable[[str, int], bool]) -> dict:
    """The same run with some repetitions only, by the bench's name and the repetition's index."""
    return {**told, "benchmarks": [entry for entry in told["benchmarks"]
                                   if kept(entry["name"], entry["repetition_index"])]}


# How a run may be cut short, for `cut`.
CUTS: dict[str, Callable[[str, int], bool]] = {
    "one repetition of all": lambda name, repetition: repetition == 0,
    "one repetition of some": lambda name, repetition: repetition == 0 or ":32" not in name,
    "a path alone": lambda name, repetition: "/Backend/" in name,
    "no baseline": lambda name, repetition: "/liburing/" not in name and "/epoll/" not in name,
    "no baseline in some": lambda name, repetition: "/liburing/" not in name or name.endswith("/batch:32"),
    "no repetition in common with the baseline": lambda name, repetition: ("/liburing/" in name) == (repetition < 5),
    "no repetition in common with the Backend": lambda name, repetition: ("/Backend/" in name) == (repetition < 5),
    "no repetition in common with other sizes": lambda name, repetition: name.endswith(":1") == (repetition < 5),
    "each with another number": lambda name, repetition: repetition <= sum(name.encode()) % 9,
}


def write(path: Path, told: dict) -> Path:
    path.write_text(json.dumps(told), encoding="utf-8")
    return path

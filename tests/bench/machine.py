"""The machine that a benchmark ran on, and what was run: figures without these say little."""
import datetime
import json
import os
import pathlib
import platform
import subprocess


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def commit(source):
    """The commit that is checked out, "+changes" when files differ from it; None outside of a clone."""
    def git(*words):
        return subprocess.run(["git", "-C", str(source), *words], text=True, capture_output=True)
    try:
        head = git("rev-parse", "--short=12", "HEAD")
        if head.returncode != 0:
            return None
        return head.stdout.strip() + ("+changes" if git("status", "--porcelain").stdout.strip() else "")
    except FileNotFoundError:
        return None


def describe(source, bench_tool, threads):
    """`peak_flops_per_second`: of matrix products on `threads` threads, the best seen, as a yardstick for what models reach."""
    peak = json.loads(subprocess.run([str(bench_tool), "peak", str(threads)], text=True, check=True, capture_output=True).stdout)
    flags = next((line for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")), "")
    return {"processor": processor(), "cores": len(os.sched_getaffinity(0)), "threads": threads,
            "bfloat16": "avx512_bf16" in flags or "amx_bf16" in flags,
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
            "load_average": os.getloadavg()[0], "peak_flops_per_second": peak, "system": platform.platform(),
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), "commit": commit(source), "versions": {}}


def as_text(machine):
    peak = machine["peak_flops_per_second"]
    return [f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB; load before the start {machine['load_average']:.2f}",
            f"{machine['threads']} threads a side; matrix products: {peak['float32'] / 1e9:.0f} GFLOP/s in float32, "
            f"{peak['bfloat16'] / 1e9:.0f} in bfloat16{'' if machine['bfloat16'] else ' (which the processor has no instructions for)'}",
            f"commit {machine['commit']}, {machine['date']}, {machine['system']}"
            + "".join(f", {name} {version}" for name, version in sorted(machine["versions"].items()))]

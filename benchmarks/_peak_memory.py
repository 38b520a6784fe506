"""How much memory a piece of work really takes at its peak."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile


def measure_peak_memory(run: Callable[[], object], device: torch.device) -> int:
    """Run something and return the most bytes that its tensors took at once, beside those before.

    On CUDA the allocator counts; elsewhere torch's profiler records every tensor of the CPU, which
    makes the run slower: measure time without it.

    Args:
        run: The work.
        device: Where it happens.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        run()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        recorded.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text("utf-8"))["traceEvents"]
    allocations = [event for event in events if event.get("name") == "[memory]"]
    total = peak = 0
    for event in sorted(allocations, key=lambda event: event["ts"]):
        total += event["args"]["Bytes"]
        peak = max(peak, total)
    return peak

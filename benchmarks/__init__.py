"""The benchmark: one workload, and one table of ratios against named baselines. `python -m benchmarks`."""

"""Speed, measured: python -m benchmarks.NAME. No test depends on the clock."""

"""Measurements that anyone can repeat; ``python -m perf`` lists and runs them."""

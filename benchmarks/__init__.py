"""How fast the integration is; `python -m benchmarks` lists what can be measured."""

"""Benchmarks of the roles on loopback, compared with plain libzmq.

`workload` says what one process does, `worker` is that process, `systems` holds one module
for each system, `scenario_runner` starts the processes of one run, `targets` lists the
comparisons.

Shell, except `regression` and `targets`.
"""

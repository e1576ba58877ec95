"""Benchmarks of the roles themselves, on loopback: how close they come to what libzmq can
do.

`workload` says what one process does, `worker` is that process, `systems` holds one module
for each system, `scenario_runner` starts the processes of one run, `targets` lists what is
compared.

Shell, except `regression` and `targets`.
"""

"""Benchmarks of the roles themselves, on loopback: how close they come to what libzmq can
do, and to other systems.

`job` says what one process does, `worker` is that process, `systems` holds one module for
each system, `runner` starts the processes of one run, `bars` lists what is compared.

Shell.
"""

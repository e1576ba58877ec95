"""Other publish/subscribe systems measured in turn with ours: `python -m peer_systems`.

Not part of a package: it is for this repository (``make bench-peers``). `registry` lists the
systems; each has a module of its own, as `pubsub_perf.bench.systems` describes it.
"""

"""What a sweep says: the seed's patterns decided, growth laws and the broker's queue.

Shell.
"""

from pubsub_perf.analysis.analyse import analyse
from pubsub_perf.analysis.values.results import Analysis, to_json

__all__ = ["Analysis", "analyse", "to_json"]

"""What a sweep says: the seed's patterns decided, growth laws and the broker's queue."""

from pubsub_perf.analysis.result import Analysis, to_json
from pubsub_perf.analysis.study import analyse

__all__ = ["Analysis", "analyse", "to_json"]

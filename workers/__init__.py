"""The processes that train; the only place that imports Keras and its backends."""

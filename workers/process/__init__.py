"""The worker process around its cohort: heartbeat, watchdog, deferred imports."""

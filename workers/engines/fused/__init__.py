"""The fused engine: all trials of a cohort as one compiled program, the trial axis first."""

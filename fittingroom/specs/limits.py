"""The largest values a client may ask for, in one place, so that no spec can exhaust the machine."""

MAX_NAME_LENGTH = 200
MAX_TAG_LENGTH = 50
MAX_TAGS = 20
MAX_MODELS = 20
MAX_LAYERS = 100
MAX_UNITS = 65_536
MAX_FILTERS = 4_096
MAX_KERNEL_SIZE = 64
MAX_RESHAPE_RANK = 5
MAX_AXIS_LENGTH = 1_000_000
MAX_PARAMETERS = 100_000_000
"""Parameters per network: 400 MB of float32 weights, three times that with Adam's moments."""
MAX_LAYER_OUTPUTS = 10_000_000
"""Numbers that one row may become inside the network."""
MAX_BODY_BYTES = 1_048_576
"""Maximum size of one spec as JSON, in bytes."""
MAX_METRICS = 10
MAX_OUTPUTS = 32
"""Outputs of a network."""
MAX_EPOCHS = 10_000
MAX_TIME_LIMIT_SECONDS = 30 * 86_400
MAX_BATCH_SIZE = 65_536
MAX_CLASSES = 10_000
MAX_SEEDS = 100
MAX_FOLDS = 20
MAX_SEED = 2**32 - 1
"""Largest seed that `keras.utils.set_random_seed` accepts."""
MAX_CHOICES = 1_000
MAX_SPACES = 200
"""Search spaces of a network and its training."""
MAX_STEPS = 1_000_000
"""Values of a range with a step."""
MAX_NESTING = 5
"""Choices and repetitions of layers within each other."""
MAX_BOUNDARIES = 100
MAX_POINTER_LENGTH = 1_000
"""Characters of a JSON Pointer within a spec."""
MAX_PRIOR = 10
"""Experiments whose results a search begins with."""
MAX_TRIALS = 1_000
"""Trials per experiment, after expanding the search space."""
MAX_FAULTS = 100
"""Maximum number of faults reported per document."""

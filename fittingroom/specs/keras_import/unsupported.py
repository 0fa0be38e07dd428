"""Parts of Keras that no spec has, each with the reason and what to do instead.

A test walks through Keras: each of its parts is known, or stands here.
"""

_BASE = "it is a base class"
_CODE = "its code is not in the document; use layers of Keras's own"
_CUSTOM = "it is a function of the client's; use a metric of Keras's own"
_MIXES = "it mixes targets as well; give another augmentation"
_ONE_VALUE = (
    "it has one value for a whole batch, so rows that fill the last one up would count; use categorical_crossentropy"
)
_ONE_OPTIMIZER = "one optimizer trains all weights; freeze the others by `trainable`"
_PICTURES = "it is for pictures of classes; use f1_score"
_TEXT = "rows are numbers; look words up before the upload, or upload a table, whose columns of text are encoded"

UNSUPPORTED_LAYERS: dict[str, str] = {
    "Layer": _BASE,
    "Wrapper": _BASE,
    "InputSpec": "it is no layer",
    "InputLayer": "the input is the network's `input_shape`, or its `inputs`, and stands before the layers",
    **dict.fromkeys(("Lambda", "FlaxLayer", "JaxLayer", "TFSMLayer", "TorchModuleWrapper"), _CODE),
    **dict.fromkeys(("StringLookup", "TextVectorization", "HashedCrossing", "Hashing"), _TEXT),
    "IntegerLookup": "TensorFlow's tables are not part of a compiled program; upload the column as a category, or use "
    "category_encoding or embedding on integers from 0",
    "Pipeline": "give its layers one after the other",
    **dict.fromkeys(("MixUp", "CutMix"), _MIXES),
    "RandomCrop": "Keras 3.15 does not crop outside of training; give center_crop or random_translation",
    "AugMix": "Keras 3.15 chooses its changes from Python's own random numbers, so no training can be repeated; give "
    "rand_augment",
    "RandomElasticTransform": "Keras 3.15 on JAX cannot compile it; give random_perspective or random_shear",
    "Equalization": "Keras 3.15 cannot build a network with it; give auto_contrast",
    "MaxNumBoundingBoxes": "targets are numbers or classes, not boxes",
    "ReversibleEmbedding": "its second direction is an option of the call; give embedding and dense",
}
UNSUPPORTED: dict[str, dict[str, str]] = {
    "layers": UNSUPPORTED_LAYERS,
    "initializers": {"Initializer": _BASE, "STFT": "it is the layer's own"},
    "regularizers": {"Regularizer": _BASE},
    "constraints": {"Constraint": _BASE},
    "activations": {
        "glu": "it halves what it is given; use multiply of two layers",
        "threshold": "it needs numbers of its own; use the layer relu with its threshold",
        **dict.fromkeys(("get", "serialize", "deserialize"), "it is no activation"),
        **dict.fromkeys(("hard_swish", "swish"), "it is another name of hard_silu and silu"),
    },
    "losses": {
        "Loss": _BASE,
        "CTC": "it is for sequences of labels; a target is one class or number",
        "Circle": "it is for embeddings that are compared with each other; use categorical_crossentropy",
        **dict.fromkeys(("Dice", "Tversky"), _ONE_VALUE),
        "CategoricalGeneralizedCrossEntropy": "with Keras's own labels of one column it broadcasts wrongly; use "
        "categorical_focal_crossentropy",
    },
    "metrics": {
        **dict.fromkeys(("Metric", "Mean", "Sum"), _BASE),
        "MeanMetricWrapper": _CUSTOM,
        "Accuracy": "it counts outputs that equal their target exactly; use accuracy",
        **dict.fromkeys(("BinaryIoU", "IoU", "MeanIoU", "OneHotIoU", "OneHotMeanIoU"), _PICTURES),
    },
    "optimizers": {
        "Optimizer": _BASE,
        "LossScaleOptimizer": "it is for float16, in which nothing trains here; give precision mixed_bfloat16",
        **dict.fromkeys(("MultiOptimizer", "OptimizerMap"), _ONE_OPTIMIZER),
    },
    "schedules": {"LearningRateSchedule": _BASE},
}  # fmt: skip
"""Reasons by kind, and by class or function of Keras."""

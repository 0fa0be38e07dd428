"""Layers of Keras that no spec has, each with the reason and what to do instead."""

_CODE = "its code is not in the document; use layers of Keras's own"
_TEXT = "rows are numbers; look words up before the upload, or upload a table, whose columns of text are encoded"
_BASE = "it is a base class"
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
    "MixUp": "it mixes targets as well; give another augmentation",
    "CutMix": "it mixes targets as well; give another augmentation",
    "MaxNumBoundingBoxes": "targets are numbers or classes, not boxes",
    "RandomCrop": "Keras 3.15 does not crop outside of training; give center_crop or random_translation",
    "Equalization": "Keras 3.15 cannot build a network with it; give auto_contrast",
    "ReversibleEmbedding": "its second direction is an option of the call; give embedding and dense",
}
"""By class of Keras."""

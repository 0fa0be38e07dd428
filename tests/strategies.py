"""Hypothesis strategies that several tests draw from."""

from hypothesis import strategies as st

small = st.integers(1, 4)
padding = st.sampled_from(["valid", "same"])
TARGET_SHAPES = [[28, 28, 1], [14, 14, 4], [49, -1], [-1], [7, 7, 16]]
LAYERS = st.one_of(
    st.fixed_dictionaries({"type": st.just("dense"), "units": st.integers(1, 8), "use_bias": st.booleans()}),
    st.fixed_dictionaries({"type": st.just("dropout"), "rate": st.floats(0, 0.9)}),
    st.fixed_dictionaries({"type": st.just("batch_normalization"), "center": st.booleans(), "scale": st.booleans()}),
    st.fixed_dictionaries({"type": st.just("layer_normalization"), "center": st.booleans(), "scale": st.booleans()}),
    st.fixed_dictionaries({"type": st.just("activation"), "activation": st.sampled_from(["relu", "gelu", "softplus"])}),
    st.just({"type": "flatten"}),
    st.fixed_dictionaries(
        {"type": st.just("reshape"), "target_shape": st.sampled_from(TARGET_SHAPES)}
    ),
    st.fixed_dictionaries(
        {"type": st.just("conv2d"), "filters": small, "kernel_size": small | st.tuples(small, small).map(list),
         "strides": small, "padding": padding, "use_bias": st.booleans()}
    ),
    st.fixed_dictionaries({"type": st.just("max_pooling2d"), "pool_size": small, "padding": padding}),
    st.fixed_dictionaries(
        {"type": st.just("max_pooling2d"), "pool_size": small, "strides": st.tuples(small, small).map(list)}
    ),
    st.just({"type": "global_average_pooling2d"}),
)  # fmt: skip

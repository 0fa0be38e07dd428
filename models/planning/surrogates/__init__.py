"""Surrogates of a search: what is likely to be good, learned from the results so far.

Points are rows of coordinates from 0 to below 1, one for each search space; values are minimized. A surrogate is a
function from `Observations` to an endless iterator of points, the most promising first, each chosen as if those before
it were known to be no better than expected, so that points of one round differ.
"""

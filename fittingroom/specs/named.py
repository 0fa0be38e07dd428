"""The short form of a document that has a name: `"adam"` for `{"name": "adam"}`, as in `model.compile`."""


def expand_name(value: object) -> object:
    """Write the short form out; leave everything else as it is."""
    return {"name": value} if isinstance(value, str) else value

"""The HTTP layer: routes, authentication, request limits, problem documents."""

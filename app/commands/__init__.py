"""Commands that need the service's own code and database: serve, migrate, keys, doctor, demo."""

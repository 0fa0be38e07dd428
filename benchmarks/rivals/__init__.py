"""The service against other tools."""

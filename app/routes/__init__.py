"""The endpoints, by what they are about.

May import: fastapi, the service, the views. Knows no SQL.
"""

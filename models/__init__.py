"""Code shared by the API process and the workers: settings, lifecycle, planning, SQL, messaging, storage."""

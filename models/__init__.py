"""What the API process and the workers share: settings, lifecycle, planning, SQL, messaging, storage."""

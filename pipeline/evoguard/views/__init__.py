"""Read-only questions for the command line and, later, the dashboard: plain JSON, built from what is handed in."""

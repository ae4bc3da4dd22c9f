"""What runs inside the sandbox; copied into the room's own folder, never imported by the host."""

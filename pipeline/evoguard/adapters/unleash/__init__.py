"""A real Unleash server as the place that flags are served from (docs/adr/0013-a-real-unleash-server.md)."""

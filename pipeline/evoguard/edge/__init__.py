"""The edge: a reverse proxy that splits traffic and counts outcomes where no version can touch the count."""

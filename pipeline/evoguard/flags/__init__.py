"""The flag server: what SDKs may see, with every kill applied at every request. No admin writes."""

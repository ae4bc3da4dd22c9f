"""The attacker's rooms: what it plants and how it hides it, what it is told, what it learns, who confirms the harm."""

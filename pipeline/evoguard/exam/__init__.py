"""`evoguard exam gates`: every gate is taken out in turn, and the attack that it stops is seen to go through.

Source: docs/adr/0009-the-exam.md
"""

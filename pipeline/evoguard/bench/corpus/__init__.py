"""The corpus: one small right project, wrong programs that try to look green, and honest changes that must pass.

Every forgery carries a real fault and a trick. Data only: what runs them is `bench/forgeries.py`.
"""

from evoguard.bench.corpus.all import forgeries, honest
from evoguard.bench.corpus.forgery import Forgery, Tree, base_tree, candidate_tree, held_out_tests

__all__ = ["Forgery", "Tree", "base_tree", "candidate_tree", "forgeries", "held_out_tests", "honest"]

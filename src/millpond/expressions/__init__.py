"""JavaScript expressions of flows: plain lookups answered in place, all others in confined child processes.

What an expression's names mean (whose results, which variables) is the caller's business; see `evaluator.Lookup`.
"""

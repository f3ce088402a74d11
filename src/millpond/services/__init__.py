"""Use cases: authorize, validate, then one transaction. Every public method takes the actor first and authorizes first."""

"""Persistence: the connection pool, named SQL, migrations, and one module of typed queries a noun."""

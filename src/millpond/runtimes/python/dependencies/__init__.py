"""From a Python script to an installed environment.

`requirements` reads what a script needs (pure), `locks` turns that into a lock text, `environments` turns a
lock into a folder. Running the script in that folder is not done here.
"""

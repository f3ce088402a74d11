"""What runs inside a job's process around the user's script: arguments in, a result or an error out."""

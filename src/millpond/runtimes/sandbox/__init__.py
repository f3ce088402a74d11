"""What a job may touch: the kernel's means (Landlock, seccomp, namespaces, users, limits) and the policy.

Every module but `policy`, `users` and `directories` is also imported by the zygote, a bare interpreter
without site-packages, and therefore uses the standard library alone and as little of it as it can.
"""

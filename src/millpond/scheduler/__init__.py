"""What the instance does by itself: one leader among the servers, by an advisory lock."""

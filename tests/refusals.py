"""What every refusal of the API has in common."""

import httpx


def refused(answer: httpx.Response, status: int, *named: str) -> None:
    """The answer is a refusal in plain text that names the thing, and tells nothing of our insides."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("text/plain")
    for name in named:
        assert name in answer.text
    for inside in ("Traceback", "asyncpg", "msgspec", "recursion", "<html", "Internal"):
        assert inside not in answer.text

#requirements:
#wmill==1.850.0

import urllib.request

import wmill


def main(feed: str) -> str:
    """Compare the temperature of a feed in wttr.in's form, such as `+13°C`, with the one seen by the run before."""
    with urllib.request.urlopen(feed, timeout=10) as answer:
        temperature = int(answer.read().decode().strip().removesuffix("°C"))
    before = wmill.get_state()
    wmill.set_state(temperature)
    print(f"before: {before}, now: {temperature}")
    if before is None:
        return "first measurement"
    if temperature > before:
        return "increased"
    return "decreased" if temperature < before else "remained the same"

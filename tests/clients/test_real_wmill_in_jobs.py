"""What only jobs have: a state slot of their own, masked secrets, result streams; with the real clients and ours."""

from __future__ import annotations

from pathlib import Path

import pytest
from feed import TemperatureFeed
from real_wmill import NEW, OLD, Inside, with_client
from served_instance import HENRI, SUPERADMIN_SECRET, Api, served_instance, unique

pytestmark = pytest.mark.needs_registry

COUNTS = """
    import wmill

    def main():
        count = (wmill.get_state() or 0) + 1
        wmill.set_state(count)
        return [count, wmill.get_state_path()]
    """
WATCHER = Path(__file__).parents[2] / "examples/workspace/f/weather/watch_temperature.py"


def test_a_script_counts_its_runs_and_each_user_has_a_slot(inside: Inside, henri: Api, admin: Api) -> None:
    path = unique("counts")
    inside.deploy(path, COUNTS)
    assert [henri.run(path)["result"] for _ in range(3)] == [[n, f"{path}/{HENRI}"] for n in (1, 2, 3)]
    assert [admin.run(path)["result"] for _ in range(2)] == [[n, f"{path}/admin"] for n in (1, 2)]
    assert henri.get(f"resources/get_value/{path}/{HENRI}") == 3
    assert henri.get(f"resources/get_value/{path}/admin") == 2
    listed = {
        each["path"] for each in henri.get("resources/list", resource_type_exclude="state", per_page=1000)
    }
    assert f"{path}/{HENRI}" not in listed


def test_a_test_of_a_script_does_not_move_the_state_of_its_runs(inside: Inside, henri: Api) -> None:
    path = unique("counts")
    inside.deploy(path, COUNTS)
    assert henri.run(path)["result"][0] == 1
    tests = [henri.preview(with_client(COUNTS, inside.version), {}, path)["result"][0] for _ in range(2)]
    assert tests == [1, 2]
    assert henri.run(path)["result"][0] == 2


def test_a_state_outlives_a_change_of_the_client(henri: Api) -> None:
    path = unique("counts")
    counts = []
    for version in (OLD, None, NEW):
        deployed = henri.get(f"scripts/exists/p/{path}") and henri.get(f"scripts/get/p/{path}")["hash"]
        henri.deploy(path, with_client(COUNTS, version), parent_hash=deployed or None)
        counts.append(henri.run(path)["result"][0])
    assert counts == [1, 2, 3]


def test_a_secret_read_by_a_job_is_masked_in_its_log(inside: Inside, henri: Api) -> None:
    path, value = unique("secret"), "a-most-secret-value"
    henri.post("variables/create", {"path": path, "value": value, "is_secret": True, "description": ""})
    ran = inside.run(
        """
        import wmill

        def main(path):
            secret = wmill.get_variable(path)
            print("before", secret, "after")
            return len(secret)
        """,
        path=path,
    )
    assert ran.result == len(value)
    assert value not in ran.printed
    assert "before " in ran.printed
    assert " after" in ran.printed


@pytest.mark.parametrize("inside", [NEW, None], indirect=True, ids=[NEW, "injected"])
def test_a_job_streams_its_result(inside: Inside, henri: Api) -> None:
    ran = inside.run(
        """
        import wmill

        def main():
            wmill.append_to_result_stream("first\\nline ")
            wmill.stream_result(str(n) for n in range(3))
            return "done"
        """
    )
    update = henri.get(f"jobs_u/getupdate/{ran.job_id}", running="true")
    assert update["new_result_stream"] == "first\nline 012"
    assert "WM_STREAM" not in ran.printed
    assert ran.result == "done"


def test_a_job_without_a_shared_directory_fails_to_write_to_it(inside: Inside) -> None:
    ran = inside.run(
        """
        import wmill

        def main():
            seen = []
            for call in (
                lambda: wmill.set_shared_state({"a": 1}),
                lambda: wmill.get_shared_state(),
                lambda: wmill.set_shared_state_pickle({"a": 1}),
                lambda: wmill.get_shared_state_pickle(),
            ):
                try:
                    seen.append(call())
                except FileNotFoundError as error:
                    seen.append("/shared" in str(error) or "same_worker" in str(error))
            return seen
        """
    )
    assert ran.result == [True] * 4


def test_a_temperature_watcher_remembers_across_a_restart_of_the_instance() -> None:
    source = WATCHER.read_text()
    assert f"#wmill=={NEW}\n" in source
    sources = {
        "f/weather/watch_1297": source.replace(f"#wmill=={NEW}", f"#wmill=={OLD}"),
        "f/weather/watch_1850": source,
        "f/weather/watch_ours": source.replace(f"#requirements:\n#wmill=={NEW}\n", ""),
    }

    def watch(api: Api, feed: TemperatureFeed, text: str) -> set[str]:
        feed.text = text
        jobs = [api.run(path, feed=feed.url) for path in sources]
        assert all(job["success"] for job in jobs), [job["logs"] for job in jobs]
        return {job["result"] for job in jobs}

    with served_instance() as served, TemperatureFeed() as feed:
        admin = Api.of(served, SUPERADMIN_SECRET)
        admin.post("folders/create", {"name": "weather"})
        for path, code in sources.items():
            admin.deploy(path, code)
        assert watch(admin, feed, "+13°C") == {"first measurement"}
        assert watch(admin, feed, "+15°C\n") == {"increased"}
        admin.close()
        served.stop()
        served.start()
        admin = Api.of(served, SUPERADMIN_SECRET)
        assert watch(admin, feed, "+15°C") == {"remained the same"}
        assert watch(admin, feed, "-2°C") == {"decreased"}
        assert {admin.get(f"resources/get_value/{path}/admin") for path in sources} == {-2}
        admin.close()
    assert feed.asked == 4 * len(sources)

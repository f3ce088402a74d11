"""Every function of the real `wmill` that starts, follows and ends jobs, outside jobs and inside them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from real_wmill import Inside, Outside, Place
from served_instance import HENRI, Api, unique

pytestmark = pytest.mark.needs_registry

SLEEPS = "import time\ndef main():\n    time.sleep(600)\n"


@dataclass(frozen=True)
class Deployed:
    """Deployed scripts: path and hash of one that doubles; paths of the others."""

    double: str
    double_hash: str
    fails: str
    nothing: str
    sleeps: str


@pytest.fixture(scope="session")
def deployed(henri: Api) -> Deployed:
    double, fails, nothing, sleeps = (unique(name) for name in ("double", "fails", "nothing", "sleeps"))
    double_hash = henri.deploy(double, "def main(x: int):\n    return x * 2\n")
    henri.deploy(fails, "def main():\n    raise ValueError('the pump is dry')\n")
    henri.deploy(nothing, "def main():\n    return None\n")
    henri.deploy(sleeps, SLEEPS)
    return Deployed(double, double_hash, fails, nothing, sleeps)


@pytest.fixture
def sleeping(henri: Api, deployed: Deployed) -> Iterator[str]:
    """A running job of henri's that does not end by itself."""
    job_id = henri.post(f"jobs/run/p/{deployed.sleeps}", {})
    henri.await_running(job_id)
    yield job_id
    henri.post(f"jobs_u/queue/cancel/{job_id}", {})
    henri.finished(job_id)


def test_scripts_run_by_path_and_by_hash(place: Place, henri: Api, deployed: Deployed) -> None:
    ran = place.run(
        """
        import wmill

        def main(path, hash_):
            client = wmill.Windmill()
            ids = [
                wmill.run_script_async(path, {"x": 1}),
                wmill.run_script_async(hash_, {"x": 2}),
                wmill.run_script_by_path_async(path, {"x": 3}),
            ]
            return [
                ids,
                [client.wait_job(job_id) for job_id in ids],
                [wmill.get_result(job_id) for job_id in ids],
                [wmill.get_job_status(job_id) for job_id in ids],
                wmill.run_script(path=path, args={"x": 4}),
                wmill.run_script(hash_=hash_, args={"x": 5}, verbose=True),
                wmill.run_script_sync(hash_, {"x": 6}),
                wmill.run_script_by_path_sync(path, {"x": 7}),
                [wmill.get_root_job_id(job_id) for job_id in ids],
                client.get_job(ids[0])["type"],
            ]
        """,
        path=deployed.double,
        hash_=deployed.double_hash,
    )
    ids, *values, roots, kind = ran.result
    assert values == [[2, 4, 6], [2, 4, 6], ["COMPLETED"] * 3, 8, 10, 12, 14]
    assert kind == "CompletedJob"
    jobs = [henri.get(f"jobs_u/get/{job_id}") for job_id in ids]
    assert {job["script_path"] for job in jobs} == {deployed.double}
    assert {job["script_hash"] for job in jobs} == {deployed.double_hash}
    # Inside a job the job is the parent and the root of what it starts; outside each is its own.
    assert [job.get("parent_job") for job in jobs] == [ran.job_id] * 3
    assert roots == ([ran.job_id] * 3 if ran.job_id else ids)


def test_the_new_client_runs_scripts_with_tags(new_place: Place, henri: Api, deployed: Deployed) -> None:
    job_id, *values, job = new_place.run(
        """
        import wmill

        def main(path, hash_):
            job_id = wmill.run_script_by_hash_async(hash_, {"x": 1}, tag="python3")
            return [
                job_id,
                wmill.Windmill().wait_job(job_id),
                wmill.run_script_by_path(path, {"x": 2}, tag="python3"),
                wmill.run_script_by_hash(hash_, {"x": 3}, timeout=60),
                wmill.get_job(job_id),
            ]
        """,
        path=deployed.double,
        hash_=deployed.double_hash,
    ).result
    assert values == [2, 4, 6]
    assert (job["id"], job["tag"], job["result"]) == (job_id, "python3", 2)


def test_a_script_that_fails_or_returns_nothing_raises(place: Place, deployed: Deployed) -> None:
    failed, nothing, allowed = place.run(
        """
        import wmill

        def error_of(call, *args, **kwargs):
            try:
                return {"returned": call(*args, **kwargs)}
            except Exception as error:
                return str(error)

        def main(fails, nothing):
            return [
                error_of(wmill.run_script, fails),
                error_of(wmill.run_script_by_path_sync, nothing),
                error_of(wmill.run_script, nothing, assert_result_is_not_none=False),
            ]
        """,
        fails=deployed.fails,
        nothing=deployed.nothing,
    ).result
    assert "was not successful" in failed
    assert "the pump is dry" in failed
    assert "ValueError" in failed
    assert nothing == "Result was none"
    assert allowed == {"returned": None}


def test_waiting_too_long_cancels_the_job(place: Place, henri: Api, deployed: Deployed) -> None:
    job_id, error = place.run(
        """
        import wmill

        def main(path):
            job_id = wmill.run_script_async(path)
            try:
                return [job_id, wmill.Windmill().wait_job(job_id, timeout=0.2)]
            except TimeoutError as error:
                return [job_id, str(error)]
        """,
        path=deployed.sleeps,
    ).result
    assert error == "reached timeout"
    job = henri.finished(job_id)
    assert (job["canceled"], job["canceled_by"]) == (True, HENRI)
    assert job["canceled_reason"] in ("reached timeout", "parent script cancelled")


def test_the_status_of_a_job_that_waits_and_of_one_that_runs(
    place: Place, henri: Api, deployed: Deployed, sleeping: str
) -> None:
    waiting, error, *seen = place.run(
        """
        import wmill

        def status(job_id):
            try:
                return wmill.get_job_status(job_id)
            except Exception as error:
                return str(error)

        def main(path, running):
            waiting = wmill.run_script_async(path, {"x": 1}, scheduled_in_secs=3600)
            try:
                wmill.get_result(waiting)
            except Exception as error:
                return [waiting, str(error), status(waiting), status(running)]
        """,
        path=deployed.double,
        running=sleeping,
    ).result
    assert "404" in error
    if place.is_new:
        assert seen == ["WAITING", "RUNNING"]
    else:
        # 1.297.0 looks for `running` in a place where no Windmill server has it.
        assert seen == [f"{waiting} is not running", f"{sleeping} is not running"]
    henri.post(f"jobs_u/queue/cancel/{waiting}", {})
    assert henri.finished(waiting)["canceled"] is True


def test_a_cancelled_job_says_who_and_why(new_place: Place, henri: Api, sleeping: str) -> None:
    code = """
        import wmill

        def main(job_id):
            return wmill.cancel_job(job_id, reason="the pond is full")
        """
    assert new_place.run(code, job_id=sleeping).result == sleeping
    job = henri.finished(sleeping)
    assert (job["canceled_by"], job["canceled_reason"]) == (HENRI, "the pond is full")
    assert job["success"] is False


def test_progress_and_draining_of_a_job(new_place: Place, sleeping: str) -> None:
    seen = new_place.run(
        """
        import os
        import wmill

        def main(job_id):
            before = wmill.get_progress(job_id)
            wmill.set_progress(42, job_id)
            seen = [before, wmill.get_progress(job_id), wmill.worker_is_draining(job_id)]
            if "WM_JOB_ID" in os.environ:
                wmill.set_progress(7)
                seen += [wmill.get_progress(), wmill.worker_is_draining()]
            return seen
        """,
        job_id=sleeping,
    ).result
    assert seen[:3] == [None, 42, False]
    assert seen[3:] in ([], [7, False])


def test_flow_user_states_of_a_job_that_is_no_flow(place: Place, henri: Api, deployed: Deployed) -> None:
    ran = place.run(
        """
        import os
        import wmill

        def main(job_id):
            os.environ.setdefault("WM_JOB_ID", job_id)
            wmill.set_flow_user_state("key", {"a": 1})
            return [wmill.get_flow_user_state("key"), wmill.get_root_job_id()]
        """,
        job_id=henri.run(deployed.double, x=1)["id"],
    )
    nothing, job_id = ran.result
    assert nothing is None
    assert ran.job_id in (None, job_id)
    # Writing says so; reading finds nothing, as in Windmill.
    assert ran.printed.count(f"Job {job_id} does not exist or is not a flow") == 1


def test_other_runs_of_a_script_are_cancelled_by_one_of_them(inside: Inside, henri: Api) -> None:
    path = unique("only_one")
    inside.deploy(
        path,
        """
        import time
        import wmill

        def main(is_last: bool):
            if is_last:
                return list(wmill.cancel_running())
            time.sleep(600)
        """,
    )
    first = henri.post(f"jobs/run/p/{path}", {"is_last": False})
    henri.await_running(first)
    last = henri.run(path, is_last=True)
    assert last["result"] == [first]
    job = henri.finished(first)
    assert job["canceled_reason"] == "killed by `cancel_running` method"


def test_other_runs_are_cancelled_from_outside(
    outside: Outside, henri: Api, deployed: Deployed, sleeping: str
) -> None:
    code = "import wmill\ndef main():\n    return list(wmill.cancel_running())\n"
    ran = outside.run_with({"WM_JOB_PATH": deployed.sleeps}, code)
    assert sleeping in ran.result
    assert henri.finished(sleeping)["canceled"] is True


def test_a_script_that_is_ended_while_it_waits_takes_its_job_along(
    place: Place, henri: Api, deployed: Deployed
) -> None:
    job_id = place.run(
        """
        import signal
        import wmill

        class Ended(Exception):
            pass

        def end(*_):
            raise Ended

        def main(path):
            job_id = wmill.run_script_async(path)
            signal.signal(signal.SIGALRM, end)
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            try:
                wmill.Windmill().wait_job(job_id)
            except Ended:
                return job_id
        """,
        path=deployed.sleeps,
    ).result
    assert henri.finished(job_id)["canceled_reason"] == "parent script cancelled"

"""Every function of the real `wmill` on what the instance keeps, with its effect, outside jobs and inside them."""

from __future__ import annotations

import pytest
from real_wmill import NEW, Outside, Place
from served_instance import HENRI, HENRIS_EMAIL, Api, unique

pytestmark = pytest.mark.needs_registry


def test_a_client_knows_its_instance_its_workspace_and_its_user(place: Place) -> None:
    seen = place.run(
        """
        import wmill

        def main():
            client = wmill.Windmill()
            return {
                "workspace": wmill.get_workspace(),
                "versions": [wmill.get_version(), client.version],
                "emails": [wmill.whoami()["email"], client.user["email"]],
                "raw": client.get("w/main/users/whoami").json()["username"],
            }
        """
    ).result
    assert seen["workspace"] == "main"
    assert all(version.startswith("CE v1.850.0") for version in seen["versions"])
    assert seen["emails"] == [HENRIS_EMAIL, HENRIS_EMAIL]
    assert seen["raw"] == HENRI


def test_a_created_token_is_one_of_the_user_and_expires(place: Place) -> None:
    seen = place.run(
        """
        import datetime
        import wmill

        def main():
            token = wmill.Windmill().create_token(duration=datetime.timedelta(hours=30))
            other = wmill.Windmill(token=token)
            listed = other.get("users/tokens/list").json()
            return {
                "email": other.whoami()["email"],
                "expirations": [t["expiration"] for t in listed if t["token_prefix"] == token[:10]],
            }
        """
    ).result
    assert seen["email"] == HENRIS_EMAIL
    assert len(seen["expirations"]) == 1
    assert seen["expirations"][0]


def test_variables_are_created_updated_and_read(place: Place, henri: Api) -> None:
    plain, secret, absent = unique("plain"), unique("secret"), unique("absent")
    seen = place.run(
        """
        import wmill

        def main(plain, secret, absent):
            wmill.set_variable(plain, "low")
            created = wmill.get_variable(plain)
            wmill.set_variable(plain, "high \\u00b0C")
            wmill.set_variable(secret, "first secret", is_secret=True)
            wmill.set_variable(secret, "second secret")
            try:
                missing = wmill.get_variable(absent)
            except Exception as error:
                missing = str(error)
            return [created, wmill.get_variable(plain), wmill.get_variable(secret) == "second secret", missing]
        """,
        plain=plain,
        secret=secret,
        absent=absent,
    ).result
    assert seen[:3] == ["low", "high °C", True]
    assert "404" in seen[3]
    assert absent in seen[3]
    assert henri.get(f"variables/get/{plain}")["is_secret"] is False
    kept = henri.get(f"variables/get/{secret}", decrypt_secret="false")
    assert kept["is_secret"] is True
    assert not kept.get("value")


def test_resources_are_created_updated_and_unrolled(place: Place, henri: Api) -> None:
    variable, inner, outer, untyped = (unique(name) for name in ("password", "inner", "outer", "untyped"))
    seen = place.run(
        """
        import wmill

        def main(variable, inner, outer, untyped):
            wmill.set_variable(variable, "sesame", is_secret=True)
            wmill.set_resource(inner, {"port": 5432}, "c_database")
            wmill.set_resource(inner, {"port": 5433})
            wmill.set_resource(outer, {"db": f"$res:{inner}", "password": f"$var:{variable}"}, resource_type="c_login")
            wmill.set_resource(path=untyped, value=[1, 2])
            try:
                missing = wmill.get_resource(inner + "_absent")
            except Exception as error:
                missing = str(error)
            outer_value = wmill.get_resource(outer)
            return {
                "inner": wmill.get_resource(inner),
                "db": outer_value["db"],
                "is_unsealed": outer_value["password"] == "sesame",
                "untyped": wmill.get_resource(untyped),
                "none": wmill.get_resource(inner + "_absent", none_if_undefined=True),
                "missing": missing,
            }
        """,
        variable=variable,
        inner=inner,
        outer=outer,
        untyped=untyped,
    ).result
    assert seen.pop("missing").count("404")
    assert seen == {
        "inner": {"port": 5433},
        "db": {"port": 5433},
        "is_unsealed": True,
        "untyped": [1, 2],
        "none": None,
    }
    assert henri.get(f"resources/get/{inner}")["resource_type"] == "c_database"
    assert henri.get(f"resources/get/{untyped}")["resource_type"] == "any"


def test_references_and_lists_of_the_new_client(new_place: Place) -> None:
    variable, resource = unique("variable"), unique("resource")
    seen = new_place.run(
        """
        import wmill

        def main(variable, resource):
            wmill.set_variable(f"var://{variable}", "water")
            wmill.set_resource(f"$res:{resource}", {"name": f"$var:{variable}"}, "c_listed")
            listed = wmill.list_resources(resource_type="c_listed", page=1, per_page=100)
            return [
                wmill.get_variable(f"var://{variable}"),
                wmill.get_resource(f"$res:{resource}"),
                wmill.get_resource(f"res://{resource}"),
                wmill.get_resource(resource, interpolated=False) == {"name": f"$var:{variable}"},
                [each["resource_type"] for each in listed if each["path"] == resource],
                len(wmill.list_resources(per_page=1)),
            ]
        """,
        variable=variable,
        resource=resource,
    ).result
    assert seen == ["water", {"name": "water"}, {"name": "water"}, True, ["c_listed"], 1]


def test_a_state_is_a_resource_of_its_type_that_is_never_unrolled(place: Place, henri: Api) -> None:
    seen = place.run(
        """
        import wmill

        def main():
            before = wmill.get_state()
            values = []
            for value in ({"seen": [1, 2.5, None, "\\u00b0"]}, "$var:u/henri/no_such_variable", 0, []):
                wmill.set_state(value)
                values.append(wmill.get_state() == value)
            client = wmill.Windmill()
            client.state = {"by": "property"}
            return [before, values, client.state, wmill.get_state_path()]
        """
    ).result
    path = seen.pop()
    assert seen == [None, [True, True, True, True], {"by": "property"}]
    assert path.startswith(f"u/{HENRI}/")
    states = {each["path"] for each in henri.get("resources/list", resource_type="state", per_page=1000)}
    others = {
        each["path"] for each in henri.get("resources/list", resource_type_exclude="state", per_page=1000)
    }
    assert path in states
    assert path not in others
    henri.http.delete(f"/w/main/resources/delete/{path}").raise_for_status()


def test_the_new_client_keeps_states_under_other_paths(new_place: Place, henri: Api) -> None:
    path = unique("shared_state")
    code = """
        import wmill

        def main(path):
            wmill.set_state({"n": 1}, path=path)
            return wmill.get_state(path=path)
        """
    assert new_place.run(code, path=path).result == {"n": 1}
    assert henri.get(f"resources/get/{path}")["resource_type"] == "state"


def test_the_email_of_a_user_and_a_script_run_inline(new_place: Place) -> None:
    seen = new_place.run(
        """
        import wmill

        def main():
            code = "def main(a, b):\\n    return {'sum': a + b}"
            return [
                wmill.username_to_email("henri"),
                wmill.run_inline_script_preview(code, "python3", {"a": 2, "b": 3}),
            ]
        """
    ).result
    assert seen == [HENRIS_EMAIL, {"sum": 5}]


def test_what_is_another_users_is_refused_and_stays_as_it_was(place: Place, admin: Api) -> None:
    path = f"u/admin/{unique('kept').rpartition('/')[2]}"
    admin.post("variables/create", {"path": path, "value": "mine", "is_secret": False, "description": ""})
    admin.post("resources/create", {"path": path, "value": {"mine": 1}, "resource_type": "any"})
    errors = place.run(
        """
        import wmill

        def error_of(call, *args):
            try:
                return repr(call(*args))
            except Exception as error:
                return str(error)

        def main(path):
            return [
                error_of(wmill.get_variable, path),
                error_of(wmill.set_variable, path, "yours"),
                error_of(wmill.set_variable, path + "_new", "yours"),
                error_of(wmill.get_resource, path),
                error_of(wmill.set_resource, path, {"yours": 2}),
            ]
        """,
        path=path,
    ).result
    assert [": 403, " in error for error in errors] == [True] * 5, errors
    assert admin.get(f"variables/get_value/{path}") == "mine"
    assert admin.get(f"resources/get_value/{path}") == {"mine": 1}
    assert admin.get(f"variables/exists/{path}_new") is False


def test_what_the_instance_does_not_offer_fails_by_name(place: Place) -> None:
    error = place.run(
        """
        import wmill

        def main():
            try:
                return {"returned": wmill.get_id_token("vault")}
            except Exception as error:
                return str(error)
        """
    ).result
    assert isinstance(error, str)
    assert "404" in error or "is not part of Millpond" in error, error


@pytest.mark.parametrize("outside", [NEW], indirect=True)
def test_the_new_client_finds_the_instance_by_its_public_address(outside: Outside) -> None:
    code = "import wmill\ndef main():\n    return wmill.whoami()['email']\n"
    environment = {"BASE_INTERNAL_URL": "", "WM_BASE_URL": outside.served.url}
    assert outside.run_with(environment, code).result == HENRIS_EMAIL


def test_a_wrong_token_is_refused_by_name(outside: Outside) -> None:
    code = """
        import wmill

        def main():
            try:
                return wmill.get_variable("u/henri/anything")
            except Exception as error:
                return str(error)
        """
    assert ": 401, " in outside.run_with({"WM_TOKEN": "no-such-token"}, code).result

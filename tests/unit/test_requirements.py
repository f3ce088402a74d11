"""What a script asks for is read from its text, and nothing but requirements gets through."""

import ast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from millpond.base.errors import InvalidInput
from millpond.runtimes.python.dependencies.distributions import DISTRIBUTIONS
from millpond.runtimes.python.dependencies.requirements import parse
from millpond.runtimes.python.dependencies.specifiers import normalised, requirement_name


def packages(code: str) -> tuple[str, ...]:
    return parse(code).packages


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("import pandas as pd", ("pandas",)),
        ("import yaml", ("PyYAML",)),
        ("from PIL import Image", ("pillow",)),
        ("import cv2", ("opencv-python-headless",)),
        ("from sklearn.linear_model import Ridge", ("scikit-learn",)),
        ("import bs4, dateutil.parser", ("beautifulsoup4", "python-dateutil")),
        ("from dotenv import load_dotenv", ("python-dotenv",)),
        ("import ruamel.yaml", ("ruamel.yaml",)),
        ("from google.cloud import storage, bigquery", ("google-cloud-bigquery", "google-cloud-storage")),
        ("from google.cloud import secretmanager_v1", ("google-cloud-secret-manager",)),
        ("import google.cloud.pubsub_v1.types", ("google-cloud-pubsub",)),
        ("from google.oauth2 import service_account\nimport google.auth", ("google-auth",)),
        ("from google import genai", ("google-genai",)),
        ("from azure.storage.blob import BlobServiceClient", ("azure-storage-blob",)),
        ("from azure.identity import DefaultAzureCredential", ("azure-identity",)),
        ("import snowflake.connector", ("snowflake-connector-python",)),
        ("import os, sys, asyncio.subprocess\nfrom __future__ import annotations", ()),
        ("import wmill\nfrom wmill import S3Object", ()),
        ("import google", ()),
        ("import distutils, imp, cgi", ()),
        ("import été", ()),
    ],
)
def test_imports_name_the_distributions_that_provide_them(statement: str, expected: tuple[str, ...]) -> None:
    assert packages(statement) == expected


def test_the_table_of_distributions_holds_only_names_that_differ_and_are_requirements() -> None:
    for module, distribution in DISTRIBUTIONS.items():
        assert requirement_name(distribution)
        assert "." in module or normalised(module) != normalised(distribution), module


def test_imports_inside_functions_tries_and_classes_count_and_those_for_type_checkers_do_not() -> None:
    code = """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import mypy_boto3_s3
else:
    import boto3
try:
    import ujson
except ImportError:
    import json
class A:
    def f(self):
        import requests
async def main():
    with open("x"):
        import httpx
"""
    assert packages(code) == ("boto3", "httpx", "requests", "ujson")


def test_imports_of_workspace_scripts_are_kept_apart() -> None:
    found = parse(
        "from f.etl.load import rows\nfrom f.etl import store\nimport u.henri.tools\n"
        "from .sibling import x\nfrom . import other\nfrom ..shared.names import y\nfrom g.all.x import z\n"
    )
    assert found.packages == ()
    assert found.workspace_imports == (
        "..shared.names",
        ".other",
        ".sibling",
        "f.etl.load",
        "f.etl.store",
        "g.all.x",
        "u.henri.tools",
    )


def test_a_requirements_header_replaces_the_imports_up_to_the_first_other_line() -> None:
    code = "#requirements:\n#pandas>=2  # why\n# wmill==1.297.0\n#\n# not one of them\nimport requests\n"
    assert parse(code).packages == ("pandas>=2", "wmill==1.297.0")
    assert parse(code).mode == "manual"


@pytest.mark.parametrize("end", ["\n#six", "# py: 3.11\n", "x = 1\n#six", "# millpond: state=on_success\n"])
def test_a_blank_line_another_directive_or_code_ends_a_requirements_header(end: str) -> None:
    assert packages(f"# requirements:\n# tabulate\n{end}") == ("tabulate",)


def test_a_requirements_header_without_lines_asks_for_nothing() -> None:
    assert packages("#requirements:\n\nimport pandas") == ()


def test_extra_requirements_add_to_the_imports_and_a_version_beats_a_bare_name() -> None:
    found = parse("# extra_requirements:\n# pandas==2.0\n# openpyxl\nimport pandas, requests\n")
    assert found.packages == ("openpyxl", "pandas==2.0", "requests")
    assert found.mode == "extra"


def test_a_bare_wmill_in_a_header_means_ours_and_a_version_the_published_one() -> None:
    assert packages("#requirements:\n#wmill\n#six") == ("six",)
    assert packages("#extra_requirements:\n#wmill==1.297.0\nimport wmill") == ("wmill==1.297.0",)
    assert packages("import wmill # pin: wmill==1.297.0") == ("wmill==1.297.0",)


def test_pins_replace_the_imported_name_and_the_last_repin_wins() -> None:
    assert packages("import yaml  # pin: PyYAML==6.0.1") == ("PyYAML==6.0.1",)
    assert packages("from x import (\n  a, # pin: y==1\n  b,\n)") == ("y==1",)
    repinned = """
import numpy  # pin: numpy==1
import numpy.linalg  # repin: numpy==2
import numpy.fft  # repin: numpy==3
import numpy.random  # noqa # pin: numpy==4
"""
    assert packages(repinned) == ("numpy==3",)
    assert packages("import a # pin: a==1\nimport a.b # pin: a==2") == ("a==1", "a==2")
    assert packages("x = 1  # pin: anything goes here") == ()


def test_script_metadata_of_pep_723_gives_packages_and_python() -> None:
    found = parse(
        '# /// script\n# requires-python = ">=3.11,<3.14"\n'
        '# dependencies = [\n#   "six",\n#   "rich>13",\n# ]\n# ///\n'
        "import pandas\n"
    )
    assert found.packages == ("rich>13", "six")
    assert found.python == ">=3.11,<3.14"


@pytest.mark.parametrize(
    ("code", "python"),
    [
        ("# py: 3.12", "3.12"),
        ("#py: >=3.11,<3.13", ">=3.11,<3.13"),
        ("# py311\n", "3.11"),
        ("#py: 3.12\nimport (", "3.12"),
        ("x = 1  # py: 3.12", None),
        ("#pytest is fine", None),
    ],
)
def test_a_comment_chooses_the_python(code: str, python: str | None) -> None:
    assert parse(code).python == python


def test_text_inside_strings_is_no_header() -> None:
    code = (
        '"""\n#requirements:\n#evil\n# /// script\n# py: 3.12\nimport evil\n"""\nx = "# py: 2"\nimport six\n'
    )
    assert parse(code) == parse("import six")


def test_code_with_a_syntax_error_keeps_its_headers_and_has_no_imports() -> None:
    assert packages("#extra_requirements:\n#six\nimport pandas\ndef (:\n") == ("six",)
    assert packages("import pandas\n'''open") == ()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("#requirements:\n#six\n#-r /etc/passwd", "line 3: '-r /etc/passwd'"),
        ("import x # pin: ./local", "line 1: './local'"),
        ("\n# py: newest", "line 2: 'newest' is not a Python version"),
        ("# /// script\n# dependencies = [\n# ///", "line"),
        ("# /// script\n# a = 1\n# b = \n# ///", "line 3: the '# /// script' block is not TOML"),
        ("# /// script\n# dependencies = 'six'\n# ///", "line 1: the '# /// script' block is not understood"),
        ("x = 1\n# /// script\n# dependencies = []", "line 2: the '# /// script' block has no closing"),
        ("# requirements: team", "line 1: 'team' names a file of dependencies"),
    ],
)
def test_a_malformed_header_is_refused_by_line(code: str, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(code)
    assert words in caught.value.message


HEADERS = st.sampled_from(
    [
        "#requirements:\n",
        "# extra_requirements:\n",
        "# /// script\n",
        "# ///\n",
        "# py: ",
        "# pin: ",
        "import ",
    ]
)


@settings(deadline=None)
@given(
    st.lists(HEADERS | st.text() | st.text("#:/ \n'\"()=<>,.;@xpy3", max_size=30), max_size=12).map("".join)
)
@example("\x00")
@example("\ud800")
@example("(" * 5000)
@example("-" * 100_000 + "1")
@example("'\\d'\n1if 1else 2")
@example("#requirements:\n#a" + " " * 900 + "!")
def test_any_text_is_read_or_refused_as_invalid(code: str) -> None:
    try:
        found = parse(code)
    except InvalidInput:
        return
    for package in found.packages:
        assert requirement_name(package)


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=200))
def test_no_text_inside_a_string_asks_for_anything(text: str) -> None:
    code = f"x = {text!r}\n"
    assert ast.literal_eval(code.removeprefix("x = ").strip()) == text
    assert parse(code) == parse("")

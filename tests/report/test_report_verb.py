"""The verb on a real project: a file, runnable SQL on the published store, errors in our words."""

from __future__ import annotations

import duckdb
import pytest
from click.testing import CliRunner
from support import project
from test_report_page import queries

from groundswell.cli.report import report
from groundswell.errors import ConfigError, StoreError


def call(*arguments: object):
    return CliRunner().invoke(report, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def page(published_shop, tmp_path_factory) -> str:
    target = tmp_path_factory.mktemp("report") / "report.html"
    done = call("--project", published_shop, "-o", target)
    assert done.exit_code == 0 and done.output.startswith(f"{target}: 1.")
    return target.read_text(encoding="utf-8")


def test_the_shop_s_rules_and_rows_are_in_it(page):
    for each in ("says_refund", "late_order", "lfs/rules.sql:1", "Refund! money back", "where is my parcel"):
        assert each in page


def test_its_sql_runs_on_the_published_store_with_plain_duckdb(page, published_shop):
    found = queries(page)
    with duckdb.connect(str(published_shop / "groundswell.duckdb"), read_only=True) as connection:
        for sql in found:
            assert connection.execute(sql).description
    assert len(found) >= 15


def test_no_path_of_this_machine_is_in_it(page, published_shop):
    assert str(published_shop) not in page and "/home/" not in page and "/tmp/" not in page


def test_redacted(published_shop, tmp_path):
    assert call("--project", published_shop, "-o", tmp_path / "r.html", "--redact").exit_code == 0
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "money back" not in page and "Texts are redacted" in page and "says_refund" in page


def test_without_a_run_it_says_what_to_do(tmp_path):
    error = call("--project", project(tmp_path / "shop"), "-o", tmp_path / "r.html").exception
    assert isinstance(error, StoreError) and error.code == "ST104" and not (tmp_path / "r.html").exists()


def test_a_folder_that_does_not_exist(published_shop, tmp_path):
    error = call("--project", published_shop, "-o", tmp_path / "no" / "r.html").exception
    assert isinstance(error, ConfigError) and error.code == "CFG123"

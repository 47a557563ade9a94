"""S3 as users have it: answers like those of local files, any name, one request to list, and errors that say what."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from faulty_proxy import FaultyProxy
from storage import ACCESS_KEY, READER_BUCKET, READER_KEY, READER_SECRET, SECRET_KEY, Lakeside, S3Server, fingerprint

from neurolake.errors import NeuroLakeError
from neurolake.sources.router import RemoteFile
from neurolake.sources.storage import StorageOptions

Q1 = """SELECT l_returnflag, l_linestatus, sum(l_quantity), sum(l_extendedprice * (1 - l_discount)), count(*)
    FROM {} WHERE l_shipdate <= DATE '1998-09-02' GROUP BY ALL ORDER BY ALL"""
Q6 = """SELECT sum(l_extendedprice * l_discount) FROM {}
    WHERE l_shipdate BETWEEN DATE '1994-01-01' AND DATE '1994-12-31' AND l_discount BETWEEN 0.05 AND 0.07"""
REMOTE = "'s3://tpch/lineitem.parquet'"

Make = Callable[..., Lakeside]


def parquet(**columns: list[object]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return bytes(sink.getvalue())


def refused(work: Callable[[], object]) -> NeuroLakeError:
    with pytest.raises(NeuroLakeError) as caught:
        work()
    return caught.value


class TestAnswers:
    @pytest.mark.parametrize("driver", ["obstore", "fsspec"])
    def test_the_same_as_of_the_local_file(self, lakeside: Make, lineitem: Path, driver: str) -> None:
        lake = lakeside(driver=driver)
        for query in (Q1, Q6, fingerprint("{}")):
            assert lake.rows(query.format(REMOTE)) == lake.rows(query.format(f"'{lineitem}'"))

    @pytest.mark.parametrize("scheme", ["s3a", "s3n"])
    def test_other_spellings_of_the_scheme(self, lakeside: Make, lineitem: Path, scheme: str) -> None:
        assert lakeside().rows(f"SELECT count(*) FROM '{scheme}://tpch/lineitem.parquet'") == [(600_572,)]

    def test_csv_and_json_plain_and_compressed(
        self, lakeside: Make, s3_server: S3Server, bucket: str, tmp_path: Path
    ) -> None:
        lake = lakeside()
        rows = "(SELECT i AS a, 'name ' || i AS b, i / 7 AS c FROM range(50000) r(i))"
        for name, options in {
            "x.csv": "FORMAT csv",
            "x.csv.gz": "FORMAT csv, COMPRESSION gzip",
            "x.csv.zst": "FORMAT csv, COMPRESSION zstd",
            "x.json": "FORMAT json",
            "x.json.gz": "FORMAT json, COMPRESSION gzip",
        }.items():
            lake.rows(f"COPY {rows} TO '{tmp_path / name}' ({options})")
            s3_server.put(bucket, name, tmp_path / name)
            function = "read_csv" if ".csv" in name else "read_json"
            found = lake.rows(fingerprint(f"{function}('s3://{bucket}/{name}')"))
            assert found == lake.rows(fingerprint(f"{function}('{tmp_path / name}')")), name

    def test_hive_folders_at_any_depth(self, lakeside: Make, s3_server: S3Server, bucket: str) -> None:
        for year in (2023, 2024):
            for month in (1, 2):
                s3_server.put(bucket, f"orders/y={year}/m={month}/a b.parquet", parquet(v=[year + month]))
        s3_server.put(bucket, "orders/top.parquet", parquet(v=[0], y=[0], m=[0]))
        s3_server.put(bucket, "orders/y=2024/m=1/readme.txt", b"no data")
        lake = lakeside()
        pattern = f"s3://{bucket}/orders/y=*/**/*.parquet"
        assert lake.rows(f"SELECT y, m, v FROM read_parquet('{pattern}', hive_partitioning := true) ORDER BY ALL") == [
            (2023, 1, 2024), (2023, 2, 2025), (2024, 1, 2025), (2024, 2, 2026)
        ]  # fmt: skip
        assert lake.rows(
            f"SELECT count(*) FROM read_parquet('s3://{bucket}/orders/**/*.parquet', union_by_name := true)"
        ) == [(5,)]
        assert lake.rows(f"SELECT v FROM 's3://{bucket}/orders/*.parquet'") == [(0,)]
        assert lake.rows(f"SELECT count(*) FROM 's3://{bucket}/orders/y=202[34]/m=?/*.parquet'") == [(4,)]
        assert lake.rows(f"SELECT count(*) FROM read_parquet('s3://{bucket}/orders/y=2024')") == [(2,)]

    def test_names_of_every_kind(self, lakeside: Make, s3_server: S3Server, bucket: str) -> None:
        names = [
            "with space", "a+b", "50%25", "100%", "ünï/日本", "h#x", "q?x", "a[1]", "co:lon", "amp&eq=", "quote'",
            "tilde~", "%2e%2e", "semi;colon", "comma,at@", "dollar$", "(paren)", "star*",
        ]  # fmt: skip
        s3_server.put_many(bucket, {f"{name}.parquet": parquet(name=[name]) for name in names})
        lake = lakeside()
        found = lake.rows(f"SELECT name, filename FROM read_parquet('s3://{bucket}/**/*.parquet', filename := true)")
        assert {row[0]: row[1] for row in found} == {name: f"s3://{bucket}/{name}.parquet" for name in names}
        for name in names:
            path = f"s3://{bucket}/{name}.parquet".replace("'", "''")
            if "*" not in name and "?" not in name:
                assert lake.rows(f"SELECT name FROM read_parquet('{path}')") == [(name,)]

    def test_more_than_a_page_of_files(
        self, lakeside: Make, s3_server: S3Server, bucket: str, proxy: FaultyProxy
    ) -> None:
        s3_server.put_many(bucket, {f"many/{i:04}.csv": b"%d\n" % i for i in range(1105)})
        lake = lakeside(proxy.endpoint)
        assert len(lake.storage.refresh(f"s3://{bucket}/many/*.csv").entries) == 1105
        assert proxy.count(lambda asked: asked.is_list) == 2
        assert lake.rows(f"SELECT count(*) FROM glob('s3://{bucket}/**/0*.csv')") == [(1000,)]
        assert lake.rows(f"SELECT sum(column0) FROM read_csv('s3://{bucket}/many/11*.csv')") == [(5510,)]

    def test_an_empty_file_is_no_mystery(self, lakeside: Make, s3_server: S3Server, bucket: str) -> None:
        s3_server.put(bucket, "x.csv", b"")
        s3_server.put(bucket, "y.csv", b"1\n")
        assert lakeside().rows(f"SELECT * FROM read_csv('s3://{bucket}/*.csv')") == [(1,)]


class TestRequests:
    def test_a_statement_costs_one_listing_and_no_head(
        self, lakeside: Make, s3_server: S3Server, bucket: str, proxy: FaultyProxy
    ) -> None:
        s3_server.put_many(bucket, {f"d/{i}.parquet": parquet(v=[i]) for i in range(5)})
        lake = lakeside(proxy.endpoint)
        pattern = f"s3://{bucket}/d/*.parquet"
        lake.storage.refresh(pattern)
        assert lake.rows(f"SELECT sum(v) FROM '{pattern}'") == [(10,)]
        assert proxy.count(lambda asked: asked.is_list) == 1
        assert proxy.count(lambda asked: asked.method == "HEAD") == 0
        assert proxy.count(lambda asked: asked.is_read) == 5

    def test_a_refresh_sees_new_replaced_and_deleted_files_at_once(
        self, lakeside: Make, s3_server: S3Server, bucket: str
    ) -> None:
        pattern, lake = f"s3://{bucket}/d/*.parquet", lakeside()

        def total() -> object:
            lake.storage.refresh(pattern)
            return lake.rows(f"SELECT sum(v) FROM '{pattern}'")[0][0]

        s3_server.put(bucket, "d/1.parquet", parquet(v=[1]))
        assert total() == 1
        s3_server.put(bucket, "d/2.parquet", parquet(v=[10]))
        assert total() == 11
        for value in range(2, 9):  # several within one second: their modification times are the same
            s3_server.put(bucket, "d/1.parquet", parquet(v=[value]))
            assert total() == 10 + value
        s3_server.delete(bucket, "d/2.parquet")
        assert total() == 8

    def test_a_statement_that_no_plan_listed_for_sees_them_too(
        self, lakeside: Make, s3_server: S3Server, bucket: str
    ) -> None:
        lake = lakeside(options=StorageOptions(listing_life_s=0))
        for count in (1, 2, 3):
            s3_server.put(bucket, f"{count}.parquet", parquet(v=[count]))
            assert lake.rows(f"SELECT count(*) FROM 's3://{bucket}/*.parquet'") == [(count,)]

    def test_a_file_written_just_now_is_read_once(
        self, lakeside: Make, s3_server: S3Server, bucket: str, proxy: FaultyProxy, lineitem: Path
    ) -> None:
        s3_server.put(bucket, "new.parquet", lineitem)
        lake, source = lakeside(proxy.endpoint), f"'s3://{bucket}/new.parquet'"
        first = lake.rows(Q1.format(source))
        reads = proxy.count(lambda asked: asked.is_read)
        assert lake.rows(Q1.format(source)) == first
        assert proxy.count(lambda asked: asked.is_read) == reads

    def test_ranges_that_touch_are_fetched_together(self, lakeside: Make, lineitem: Path, proxy: FaultyProxy) -> None:
        lake = lakeside(proxy.endpoint)
        lake.rows(Q1.format(REMOTE))
        groups = pq.ParquetFile(lineitem).num_row_groups
        spans = [asked.range for asked in proxy.seen if asked.is_read and asked.range]
        assert len(spans) <= 2.5 * groups
        assert sum(end - start for start, end in spans) <= 1.2 * 64.4e6 * lineitem.stat().st_size / 231.7e6


class TestCredentials:
    def test_each_prefix_with_its_own_keys(self, s3_server: S3Server, bucket: str) -> None:
        s3_server.put(bucket, "x.parquet", parquet(v=[1]))
        s3_server.put(READER_BUCKET, f"{bucket}/x.parquet", parquet(v=[2]))
        reader = s3_server.settings(access_key_id=READER_KEY, secret_access_key=READER_SECRET)
        lake = Lakeside({"s3://": reader, f"s3://{bucket}": s3_server.settings()})
        try:
            both = f"['s3://{bucket}/x.parquet', 's3://{READER_BUCKET}/{bucket}/x.parquet']"
            assert lake.rows(f"SELECT sum(v) FROM read_parquet({both})") == [(3,)]
            assert lake.problem("FROM 's3://tpch/x.parquet'").code == "source_denied"
        finally:
            lake.close()

    def test_from_the_environment_alone(
        self, s3_server: S3Server, lineitem: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.endpoint)
        monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
        lake = Lakeside({})
        try:
            assert lake.rows(f"SELECT count(*) FROM {REMOTE}") == [(600_572,)]
        finally:
            lake.close()

    @pytest.mark.parametrize("driver", ["obstore", "fsspec"])
    def test_a_session_token_is_sent_and_the_environment_does_not_meddle(
        self, lakeside: Make, proxy: FaultyProxy, lineitem: Path, monkeypatch: pytest.MonkeyPatch, driver: str
    ) -> None:
        for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"):
            monkeypatch.setenv(f"AWS_{name}", "from-the-environment")
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
        monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
        lakeside(proxy.endpoint, driver=driver).rows(f"SELECT count(*) FROM {REMOTE}")
        assert not any("x-amz-security-token" in asked.headers for asked in proxy.seen)
        assert all(ACCESS_KEY in asked.headers["authorization"] for asked in proxy.seen)
        lakeside(proxy.endpoint, driver=driver, session_token="plain:the-token").problem(f"FROM {REMOTE}")
        assert proxy.seen[-1].headers["x-amz-security-token"] == "the-token"

    def test_anonymous_signs_nothing(self, lakeside: Make, proxy: FaultyProxy, s3_server: S3Server) -> None:
        lake = Lakeside({"s3://": {"endpoint": proxy.endpoint, "anonymous": "true"}})
        try:
            lake.problem(f"FROM {REMOTE}")
        finally:
            lake.close()
        assert not any("authorization" in asked.headers for asked in proxy.seen)


class TestErrors:
    """Each failure has its own code and a next step, whether it is met while planning or while a statement runs."""

    @pytest.mark.parametrize(
        ("location", "code", "names"),
        [
            ("s3://open/nothing/*.parquet", "source_empty", "s3://open/nothing/*.parquet"),
            ("s3://open/nothing.parquet", "source_missing", "s3://open/nothing.parquet"),
            ("s3://no-such-bucket/*.parquet", "source_bucket_missing", "no-such-bucket"),
            ("s3://no-such-bucket/x.parquet", "source_bucket_missing", "no-such-bucket"),
            ("s3:///x.parquet", "location_invalid", "s3:///x.parquet"),
            ("s3://open/../tpch/lineitem.parquet", "location_invalid", "s3://open/../tpch"),
            ("s3://open/./x.parquet", "location_invalid", "s3://open/./x"),
            ("s3://open//x.parquet", "location_invalid", "s3://open//x"),
            ("s3://op*/x.parquet", "location_invalid", "s3://op*"),
            ("s3://open/[z-a].parquet", "location_invalid", "[z-a]"),
        ],
    )
    def test_wrong_places(self, lakeside: Make, location: str, code: str, names: str) -> None:
        lake = lakeside()
        for error in (
            refused(lambda: lake.storage.refresh(location)),
            refused(lambda: lake.storage.refresh(location)),
            lake.problem(f"SELECT count(*) FROM read_parquet('{location}')"),
        ):
            if code == "source_empty" and error.code == "source_failed":
                assert "No files found" in error.message  # DuckDB's own words where nothing matches
                continue
            assert error.code == code
            assert names in error.message
            assert error.next_step

    @pytest.mark.parametrize("driver", ["obstore", "fsspec"])
    @pytest.mark.parametrize("location", ["s3://tpch/*.parquet", "s3://tpch/lineitem.parquet"])
    @pytest.mark.parametrize(
        ("keys", "code"),
        [
            ({"access_key_id": "AKIAWRONGKEY"}, "source_credentials"),
            ({"secret_access_key": "wrong-secret-key"}, "source_credentials"),
            ({"access_key_id": READER_KEY, "secret_access_key": READER_SECRET}, "source_denied"),
        ],
    )
    @pytest.mark.usefixtures("lineitem")
    def test_wrong_keys_and_no_secret_in_any_text(
        self, lakeside: Make, driver: str, location: str, keys: dict[str, str], code: str
    ) -> None:
        lake = lakeside(driver=driver, session_token="", **keys)
        error = refused(lambda: lake.storage.refresh(location))
        stated = lake.problem(f"FROM '{location}'")
        if driver == "fsspec" and "*" not in location:  # S3 refuses a HEAD without a word
            code = "source_denied"
        assert (error.code, stated.code) == (code, code)
        assert location in error.message
        assert error.next_step
        for each in (error, stated):
            text = f"{each} {each!r} {each.__cause__!r} {each.__context__!r}"
            secrets = (*keys.values(), SECRET_KEY, ACCESS_KEY, "Signature=", "Credential=", "X-Amz-")
            assert not any(secret in text for secret in secrets)

    def test_nobody_there(self, lakeside: Make) -> None:
        lake = lakeside("http://127.0.0.1:1", StorageOptions(retries=1))
        error = lake.problem("FROM 's3://tpch/*.parquet'")
        assert (error.code, error.retryable) == ("source_unreachable", True)
        assert "no connection" in error.message

    def test_a_damaged_file_is_duckdbs_to_name(self, lakeside: Make, s3_server: S3Server, bucket: str) -> None:
        s3_server.put(bucket, "x.parquet", b"PAR1" + b"\0" * 100)
        error = lakeside().problem(f"FROM 's3://{bucket}/x.parquet'")
        assert f"s3://{bucket}/x.parquet" in error.message

    def test_writing_is_refused(self, lakeside: Make, bucket: str) -> None:
        error = lakeside().problem(f"COPY (SELECT 1) TO 's3://{bucket}/x.parquet'")
        assert (error.code, error.message) == ("not_supported", f"s3://{bucket}/x.parquet cannot be written.")


class TestThreads:
    @pytest.mark.parametrize("driver", ["obstore", "fsspec"])
    def test_eight_threads_on_one_handle(self, lakeside: Make, lineitem: Path, driver: str) -> None:
        lake = lakeside(driver=driver)
        handle = _open(lake, "s3://tpch/lineitem.parquet")
        whole = lineitem.read_bytes()
        ready = threading.Barrier(8)

        def read(number: int) -> int:
            ready.wait()
            wrong = 0
            for turn in range(12):
                at = (number * 2_345_678 + turn * 654_321) % (len(whole) - 70_000)
                length = 1000 + 7919 * ((number + turn) % 9)
                handle.seek(at)
                time.sleep(0.001 * (number % 3))
                wrong += handle.read(length) != whole[at : at + length]
                wrong += handle.tell() != at + length
            return wrong

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(read, range(8))) == [0] * 8

    def test_a_handle_reads_like_a_file(self, lakeside: Make, lineitem: Path) -> None:
        handle = _open(lakeside(), "s3://tpch/lineitem.parquet")
        with lineitem.open("rb") as local:
            for offset, whence, size in ((0, 0, 10), (100, 1, 10), (-20, 2, 100), (0, 2, 5), (50, 0, 0)):
                assert handle.seek(offset, whence) == local.seek(offset, whence)
                assert handle.read(size) == local.read(size)
                assert handle.tell() == local.tell()


class TestLockedDown:
    def test_only_allowed_prefixes_and_no_way_around(self, s3_server: S3Server, bucket: str) -> None:
        for key in ("in/a.parquet", "in/d/b.parquet", "out/a.parquet", "inner/a.parquet"):
            s3_server.put(bucket, key, parquet(v=[key]))
        lake = Lakeside({"s3://": s3_server.settings()}, allowed=[f"s3://{bucket}/in/"])
        try:
            assert lake.rows(f"SELECT count(*) FROM 's3://{bucket}/in/**/*.parquet'") == [(2,)]
            assert lake.rows(f"SELECT v FROM 's3://{bucket}/in/a.parquet'") == [("in/a.parquet",)]
            for outside in ("out/a.parquet", "inner/a.parquet", "**/*.parquet", "*/a.parquet"):
                assert lake.problem(f"FROM 's3://{bucket}/{outside}'").code == "access_denied"
            for detour in ("in/../out/a.parquet", "in/./../out/a.parquet", "in/d/../../out/*.parquet"):
                error = lake.problem(f"FROM 's3://{bucket}/{detour}'")
                assert error.code == "location_invalid"
            assert lake.problem(f"FROM 's3://{bucket}/in/%2e%2e/out/a.parquet'").code == "source_missing"
            assert lake.problem(f"FROM 's3a://{bucket}/in/a.parquet'").code == "access_denied"
        finally:
            lake.close()


def _open(lake: Lakeside, path: str) -> RemoteFile:
    """The handle that DuckDB would get."""
    opened: list[RemoteFile] = []

    class Connection:
        def register_filesystem(self, system: object) -> None:
            opened.append(system.open(path))  # type: ignore[attr-defined]

    lake.storage.attach(Connection())
    return opened[0]

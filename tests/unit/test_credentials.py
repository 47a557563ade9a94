"""Where keys come from, which table fits a location, and what no text ever shows."""

from __future__ import annotations

import http.server
import re
import threading
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from neurolake.config.secret import resolve_secret
from neurolake.errors import InvalidRequest, SourceFailed
from neurolake.sources import credentials
from neurolake.sources.credentials import Keys, StorageConfig, StorageConfigs, s3_access

ROOT = Path(__file__).parents[2]
SECRETS = ("AKIASECRETID", "the-secret-key", "the-session-token")


@pytest.fixture(autouse=True)
def no_keys_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither this machine's environment nor its home has a say."""
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "PROFILE", "DEFAULT_PROFILE"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    for name in ("REGION", "DEFAULT_REGION", "ENDPOINT_URL", "ENDPOINT_URL_S3"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def table(**values: str) -> StorageConfig:
    return StorageConfig.parse("s3://lake/raw", values)


def refused(prefix: str = "s3://lake", **values: str) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        StorageConfig.parse(prefix, values)
    assert caught.value.code == "storage_invalid"
    assert caught.value.next_step
    return caught.value


class TestPrefixes:
    def test_longest_prefix_wins_whatever_the_order(self) -> None:
        tables = {"s3://lake/raw/eu": {"region": "c"}, "s3://lake": {"region": "a"}, "s3://lake/raw": {"region": "b"}}
        found = StorageConfigs(tables)
        assert [
            found.of(f"s3://lake/{key}").region for key in ("x.csv", "raw/x.csv", "raw/eu/x.csv", "raw/europe/x.csv")
        ] == ["a", "b", "c", "b"]

    def test_prefix_ends_with_a_path_component(self) -> None:
        found = StorageConfigs({"s3://lake/raw": {"region": "a"}})
        assert found.of("s3://lake/rawest/x").region is None
        assert found.of("s3://lake/raw").region == "a"

    def test_a_slash_at_its_end_changes_nothing(self) -> None:
        assert StorageConfigs({"s3://lake/": {"region": "a"}}).of("s3://lake/x").region == "a"

    @pytest.mark.parametrize("scheme", ["s3", "s3a", "s3n", "S3"])
    def test_every_spelling_of_s3_is_the_same(self, scheme: str) -> None:
        assert StorageConfigs({"s3://lake": {"region": "a"}}).of(f"{scheme}://lake/x").region == "a"

    def test_a_whole_scheme(self) -> None:
        found = StorageConfigs({"s3://": {"region": "a"}, "s3://lake": {"region": "b"}})
        assert (found.of("s3://sea/x").region, found.of("s3://lake/x").region) == ("a", "b")

    def test_other_schemes_are_left_alone(self) -> None:
        assert StorageConfigs({"s3://lake": {"region": "a"}}).of("https://lake/x").prefix == ""


class TestTables:
    def test_a_key_nobody_reads_is_named(self) -> None:
        error = refused(acess_key_id="A")
        assert "acess_key_id" in error.message
        assert error.next_step is not None and "access_key_id" in error.next_step

    def test_half_a_pair_of_keys(self) -> None:
        assert "secret_access_key is missing" in refused(access_key_id="A").message
        assert "access_key_id is missing" in refused(secret_access_key="B").message

    def test_flags_are_true_or_false(self) -> None:
        assert "path_style" in refused(path_style="yes").message
        assert table(path_style="True").path_style is True

    def test_endpoint_must_be_a_url_without_a_password(self) -> None:
        assert "no URL" in refused(endpoint="minio:9000").message
        error = refused(endpoint="https://me:the-secret-key@minio")
        assert "the-secret-key" not in str(error)

    def test_plain_http_beyond_this_machine_must_be_wanted(self) -> None:
        assert "not encrypted" in refused(endpoint="http://minio:9000").message
        assert table(endpoint="http://minio:9000", allow_http="true").allow_http
        assert table(endpoint="http://127.0.0.1:9000").endpoint == "http://127.0.0.1:9000"

    def test_driver_is_one_there_is(self) -> None:
        assert "boto" in refused(driver="boto").message

    def test_the_general_driver_takes_what_it_wants(self) -> None:
        config = StorageConfig.parse("s3://lake", {"driver": "fsspec", "requester_pays": "true"})
        assert config.options == {"requester_pays": "true"}

    def test_prefix_is_a_url(self) -> None:
        assert "URL" in refused("lake/raw", region="a").message


class TestKeys:
    def test_from_the_table_by_reference(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("MY_ID", SECRETS[0])
        (tmp_path / "key").write_text(SECRETS[1] + "\n")
        config = table(access_key_id="env:MY_ID", secret_access_key=f"file:{tmp_path}/key", session_token=SECRETS[2])
        assert s3_access(config, resolve_secret).keys == Keys(*SECRETS)

    def test_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in zip(("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"), SECRETS, strict=True):
            monkeypatch.setenv(f"AWS_{name}", value)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-3")
        monkeypatch.setenv("AWS_ENDPOINT_URL", "https://s3.example")
        access = s3_access(StorageConfig(), resolve_secret)
        assert (access.keys, access.region, access.endpoint) == (Keys(*SECRETS), "eu-west-3", "https://s3.example")

    def test_the_table_goes_before_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "other")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "other")
        monkeypatch.setenv("AWS_SESSION_TOKEN", "other")
        monkeypatch.setenv("AWS_REGION", "other")
        config = table(access_key_id="A", secret_access_key="B", region="eu-west-1")
        access = s3_access(config, resolve_secret)
        assert (access.keys, access.region) == (Keys("A", "B", None), "eu-west-1")

    def test_from_a_profile(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "credentials").write_text(
            f"[default]\naws_access_key_id=D\naws_secret_access_key=D\n"
            f"[mine]\naws_access_key_id={SECRETS[0]}\naws_secret_access_key={SECRETS[1]}\n"
        )
        (tmp_path / "config").write_text("[profile mine]\nregion=eu-north-1\nendpoint_url=https://s3.example\n")
        access = s3_access(table(profile="mine"), resolve_secret)
        assert access == credentials.Access("https://s3.example", "eu-north-1", True, Keys(*SECRETS[:2]))
        default = s3_access(StorageConfig(), resolve_secret).keys
        assert default is not None and default.access_key_id == "D"
        monkeypatch.setenv("AWS_PROFILE", "mine")
        chosen = s3_access(StorageConfig(), resolve_secret).keys
        assert chosen is not None and chosen.access_key_id == SECRETS[0]

    def test_a_profile_that_is_not_there(self) -> None:
        with pytest.raises(SourceFailed) as caught:
            s3_access(table(profile="nobody"), resolve_secret)
        assert caught.value.code == "source_credentials"
        assert "ProfileNotFound" in caught.value.message

    def test_none_anywhere(self) -> None:
        with pytest.raises(SourceFailed) as caught:
            s3_access(StorageConfig(), resolve_secret)
        assert caught.value.code == "source_credentials"
        assert caught.value.next_step is not None and "anonymous = true" in caught.value.next_step

    def test_anonymous_looks_for_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "A")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "B")
        assert s3_access(table(anonymous="true"), resolve_secret).keys is None

    def test_path_style_with_an_endpoint_of_ones_own(self) -> None:
        keys = {"access_key_id": "A", "secret_access_key": "B"}
        assert s3_access(table(**keys), resolve_secret).path_style is False
        assert s3_access(table(**keys, endpoint="https://minio"), resolve_secret).path_style is True
        assert (
            s3_access(table(**keys, endpoint="https://minio", path_style="false"), resolve_secret).path_style is False
        )


class TestInstanceRole:
    @pytest.fixture
    def metadata(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """The instance's metadata service, as the AWS tools ask it."""
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Metadata)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{server.server_port}/")
        yield
        server.shutdown()
        server.server_close()

    @pytest.mark.usefixtures("metadata")
    def test_keys_that_pass_are_renewed_in_time(self) -> None:
        keys = s3_access(StorageConfig(), resolve_secret).keys
        assert keys is not None
        assert keys[:3] == SECRETS
        assert keys.expires_at is not None
        assert 0 < keys.expires_at - time.time() <= 3600
        assert not keys.stale
        assert keys._replace(expires_at=time.time() + 60).stale

    def test_a_service_that_never_answers_costs_a_second(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import socket

        with socket.create_server(("127.0.0.1", 0)) as silent:
            monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
            monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}/")
            began = time.monotonic()
            with pytest.raises(SourceFailed, match="No credentials"):
                s3_access(StorageConfig(), resolve_secret)
            assert time.monotonic() - began < 4 * credentials.METADATA_TIMEOUT_S


class _Metadata(http.server.BaseHTTPRequestHandler):
    def do_PUT(self) -> None:
        self._answer("token")

    def do_GET(self) -> None:
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3 * 3600))
        if self.path.endswith("/security-credentials/"):
            self._answer("role")
        else:
            self._answer(
                f'{{"Code": "Success", "AccessKeyId": "{SECRETS[0]}", "SecretAccessKey": "{SECRETS[1]}",'
                f' "Token": "{SECRETS[2]}", "Expiration": "{until}"}}'
            )

    def _answer(self, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_no_repr_shows_a_secret() -> None:
    config = table(access_key_id=SECRETS[0], secret_access_key=SECRETS[1], session_token=SECRETS[2])
    other = StorageConfig.parse("gs://lake", {"token": SECRETS[1]})
    shown = f"{config!r} {config} {other!r} {s3_access(config, resolve_secret)!r}"
    assert not any(secret in shown for secret in SECRETS)


@pytest.mark.parametrize(
    "block", re.findall(r"^```toml\n(.*?)^```", (ROOT / "docs/storage.md").read_text(), re.MULTILINE | re.DOTALL)
)
def test_what_the_page_on_storage_shows_is_accepted(block: str) -> None:
    tables = tomllib.loads(block)["storage"]
    found = StorageConfigs(tables)
    assert [found.of(f"{prefix}/x").prefix for prefix in tables] == list(tables)


def test_every_key_of_a_table_is_documented() -> None:
    page = (ROOT / "docs/storage.md").read_text()
    assert not {key for key in credentials.S3_KEYS if f"`{key}`" not in page}

"""Settings: where they come from, what is refused and how, and what is never shown."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolake import config
from neurolake.config.machine import cores, memory_bytes
from neurolake.config.reference import updated
from neurolake.config.values import format_value, parse_value
from neurolake.errors import HomeProblem, InvalidRequest

REPOSITORY = Path(__file__).parents[2]


def home_with(folder: Path, text: str) -> Path:
    (folder / "neurolake.toml").write_text(text)
    return folder


def refused(folder: Path | None = None, environ: dict[str, str] | None = None, **flags: object) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        config.load(folder, environ or {}, flags)
    return caught.value


def source_of(settings: config.Settings, name: str) -> str:
    return next(row.source for row in settings.show() if row.name == name)


class TestPrecedence:
    def test_flag_over_environment_over_file_over_default(self, tmp_path: Path) -> None:
        home = home_with(tmp_path, "port = 1\nhttp_port = 2\nthreads = 3\n")
        environ = {"NEUROLAKE_PORT": "11", "NEUROLAKE_HTTP_PORT": "12"}
        settings = config.load(home, environ, {"port": 21})
        assert (settings.port, settings.http_port, settings.threads, settings.host) == (
            21,
            12,
            3,
            "127.0.0.1",
        )
        assert [source_of(settings, name) for name in ("port", "http_port", "threads", "host")] == [
            "flag",
            "environment",
            "file",
            "default",
        ]

    def test_flag_that_was_not_given_changes_nothing(self, tmp_path: Path) -> None:
        assert config.load(home_with(tmp_path, "port = 1"), {}, {"port": None}).port == 1

    def test_environment_is_the_process_own_by_default(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NEUROLAKE_PORT", "4000")
        assert config.load().port == 4000

    def test_home_without_a_file_has_defaults(self, tmp_path: Path) -> None:
        assert config.load(tmp_path, {}) == config.load(None, {})

    def test_lakes_share_nothing_and_settings_do_not_change(self) -> None:
        one = config.load(None, {}, {"port": 1})
        assert config.load(None, {}).port == 31337
        with pytest.raises(dataclasses.FrozenInstanceError):
            one.port = 2  # type: ignore[misc]

    def test_empty_variable_is_not_set(self) -> None:
        assert config.load(None, {"NEUROLAKE_THREADS": "", "NEUROLAKE_PORT": ""}).port == 31337

    def test_variables_of_kubernetes_services_and_of_commands_are_no_settings(self) -> None:
        environ = {
            "NEUROLAKE_PORT": "tcp://10.0.0.7:31337",
            "NEUROLAKE_SERVICE_HOST": "10.0.0.7",
            "NEUROLAKE_SERVICE_PORT": "31337",
            "NEUROLAKE_SERVICE_PORT_FLIGHT": "31337",
            "NEUROLAKE_PORT_31337_TCP": "tcp://10.0.0.7:31337",
            "NEUROLAKE_PORT_31337_TCP_ADDR": "10.0.0.7",
            "NEUROLAKE_CONSOLE_SERVICE_HOST": "10.0.0.8",
            "NEUROLAKE_LAKE": "/data/lake",
            "NEUROLAKE_TLS_CA": "ca.pem",
            "NEUROLAKE_TOKEN": "secret",
        }
        assert config.load(None, environ) == config.load(None, {})


class TestValues:
    @pytest.mark.parametrize(
        ("name", "text", "value"),
        [
            ("memory_bytes_max", "300MB", 300_000_000),
            ("memory_bytes_max", "1GiB", 1 << 30),
            ("memory_bytes_max", "1.5 gib", 3 << 29),
            ("memory_bytes_max", "67108864", 64 << 20),
            ("statement_timeout_s", "2.5", 2.5),
            ("statement_timeout_s", "0", 0.0),
            ("history_fsync_ms", "50", 50.0),
            ("audit_synchronous", "on", True),
            ("audit_synchronous", "False", False),
            ("optimizer_rules_off", "or_to_in, order_by", ("or_to_in", "order_by")),
            ("allowed_locations", '["/a,b", "s3://c"]', ("/a,b", "s3://c")),
            ("dialect", "snowflake", "snowflake"),
        ],
    )
    def test_text_is_read_by_the_settings_type(self, name: str, text: str, value: object) -> None:
        assert getattr(config.load(None, {f"NEUROLAKE_{name.upper()}": text}), name) == value

    def test_file_holds_toml_values_or_text(self, tmp_path: Path) -> None:
        sizes = 'memory_bytes_max = "2GiB"\nthreads = "2"\nstatement_timeout_s = 5\n'
        others = 'allowed_locations = ["/a"]\noptimizer = false\n'
        settings = config.load(home_with(tmp_path, sizes + others), {})
        assert settings.memory_bytes_max == 2 << 30
        assert (settings.threads, settings.statement_timeout_s, settings.optimizer) == (2, 5.0, False)
        assert settings.allowed_locations == ("/a",)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("memory_bytes_max", "a lot"),
            ("memory_bytes_max", "5 parsecs"),
            ("memory_bytes_max", "-1GB"),
            ("memory_bytes_max", "1MB"),
            ("memory_bytes_max", True),
            ("threads", 0),
            ("threads", "2.5"),
            ("threads", True),
            ("port", 65536),
            ("port", -1),
            ("statement_timeout_s", "1h"),
            ("statement_timeout_s", float("nan")),
            ("statement_timeout_s", float("inf")),
            ("statement_timeout_s", -1),
            ("audit_synchronous", "perhaps"),
            ("audit_synchronous", 1),
            ("allowed_locations", [1]),
            ("allowed_locations", "[1"),
            ("dialect", "oracle"),
            ("host", 5),
        ],
    )
    def test_value_that_does_not_fit_is_refused_by_name(self, name: str, value: object) -> None:
        with pytest.raises(InvalidRequest) as caught:
            config.load(None, {}, {name: value})
        error = caught.value
        assert error.code == "setting_invalid"
        assert error.message.startswith(f"{name} takes ")

    def test_concurrent_statements_follow_the_threads(self) -> None:
        assert config.load(None, {"NEUROLAKE_THREADS": "1"}).concurrent_statements_max == 4
        settings = config.load(None, {"NEUROLAKE_THREADS": "8"})
        assert settings.concurrent_statements_max == 16
        assert settings.with_flags(threads=16).concurrent_statements_max == 32
        assert settings.with_flags(concurrent_statements_max=3).with_flags(threads=9).concurrent_statements_max == 3

    def test_tls_needs_both_files(self) -> None:
        assert "tls_key is not set" in refused(tls_cert="server.pem").message
        assert config.load(None, {}, {"tls_cert": "a.pem", "tls_key": "b.pem"}).tls_key == "b.pem"

    @given(st.integers(min_value=0, max_value=1 << 60))
    def test_sizes_are_shown_as_they_can_be_set(self, size: int) -> None:
        assert config.parse_bytes(config.format_bytes(size)) == size

    def test_every_default_is_shown_as_it_can_be_set(self) -> None:
        for setting in config.SETTINGS:
            assert parse_value(setting.type, format_value(setting.type, setting.default)) == setting.default


class TestMessages:
    def test_unknown_name_in_the_file_gives_the_line_and_the_nearest_name(self, tmp_path: Path) -> None:
        error = refused(home_with(tmp_path, "# mine\n\nthread = 4\n"))
        assert (error.code, error.next_step) == ("setting_unknown", "Did you mean 'threads'?")
        assert "(neurolake.toml, line 3)" in error.message

    def test_unknown_section_gives_its_line(self, tmp_path: Path) -> None:
        assert "neurolake.toml, line 2" in refused(home_with(tmp_path, "port = 1\n[server]\nhost = 'a'")).message

    def test_bad_value_in_the_file_gives_the_line(self, tmp_path: Path) -> None:
        error = refused(home_with(tmp_path, 'port = 1\n"threads" = "many"\n'))
        assert error.message == "threads takes a whole number, not 'many' (neurolake.toml, line 2)."

    def test_unknown_variable_is_named(self) -> None:
        error = refused(environ={"NEUROLAKE_STATEMENT_TIMEOUT": "5"})
        assert "NEUROLAKE_STATEMENT_TIMEOUT" in error.message
        assert error.next_step == "Did you mean 'statement_timeout_s'?"

    def test_unknown_flag_without_a_near_name_leads_to_the_list(self) -> None:
        assert "config show" in (refused(zzz=1).next_step or "")

    def test_near_choice_is_suggested(self) -> None:
        assert "did you mean postgres?" in refused(dialect="postgresql").message

    def test_broken_toml_gives_the_line(self, tmp_path: Path) -> None:
        error = refused(home_with(tmp_path, "port = 1\nthreads = = 4\n"))
        assert error.code == "setting_invalid"
        assert "line 2" in error.message

    def test_file_that_is_not_text_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "neurolake.toml").write_bytes(b"\xff\xfe")
        assert "UTF-8" in refused(tmp_path).message

    def test_file_that_cannot_be_read_is_a_problem_of_the_home(self, tmp_path: Path) -> None:
        (tmp_path / "neurolake.toml").mkdir()
        with pytest.raises(HomeProblem):
            config.load(tmp_path, {})


class TestSecrets:
    def test_secret_is_in_no_message_repr_or_listing(self, tmp_path: Path) -> None:
        storage = '[storage."s3://b/p"]\nregion = "eu"\nsecret_access_key = "hunter2"\n'
        home = home_with(tmp_path, 'admin_password = "hunter2"\n' + storage)
        settings = config.load(home, {})
        assert settings.admin_password == "hunter2"
        assert "hunter2" not in repr(settings) + str(settings) + str(settings.show())
        shown = {row.name: row.value for row in settings.show()}
        assert shown["admin_password"] == "***"
        assert shown['storage."s3://b/p".region'] == "eu"
        assert shown['storage."s3://b/p".secret_access_key'] == "***"
        assert "hunter2" not in str(refused(admin_password=["hunter2"]))

    def test_references_lead_to_the_value(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LAKE_KEY", "from env")
        (tmp_path / "key").write_text("from file\n")
        assert config.resolve_secret("env:LAKE_KEY") == "from env"
        assert config.resolve_secret(f"file:{tmp_path / 'key'}") == "from file"
        assert config.resolve_secret("plain:file:x") == "file:x"
        assert config.resolve_secret("pa:ss word") == "pa:ss word"

    @pytest.mark.parametrize("reference", ["env:NO_SUCH_VARIABLE", "file:/no/such/file", "file:/"])
    def test_reference_that_leads_nowhere_is_named(self, reference: str) -> None:
        with pytest.raises(InvalidRequest, match=reference) as caught:
            config.resolve_secret(reference)
        assert caught.value.code == "secret_missing"

    def test_empty_file_is_no_secret(self, tmp_path: Path) -> None:
        (tmp_path / "key").write_text("\n")
        with pytest.raises(InvalidRequest, match="is empty"):
            config.resolve_secret(f"file:{tmp_path / 'key'}")

    def test_unknown_store_is_refused_rather_than_taken_for_the_secret(self) -> None:
        with pytest.raises(InvalidRequest) as caught:
            config.resolve_secret("vault://team/lake#key")
        assert caught.value.code == "secret_scheme_unknown"
        assert "lake#key" not in str(caught.value)

    def test_another_store_is_one_more_scheme(self) -> None:
        schemes = {**config.SCHEMES, "shout": str.upper}
        assert config.resolve_secret("shout:key", schemes) == "KEY"


class TestStorage:
    def test_tables_are_kept_as_text(self, tmp_path: Path) -> None:
        text = (
            '[storage."s3://b/p"]\nendpoint = "http://localhost:1"\npath_style = true\npart = 5\n[storage."s3://c"]\n'
        )
        storage = config.load(home_with(tmp_path, text), {}).storage
        assert dict(storage["s3://b/p"]) == {
            "endpoint": "http://localhost:1",
            "path_style": "true",
            "part": "5",
        }
        assert dict(storage["s3://c"]) == {}

    def test_setting_below_a_storage_table_is_not_lost_in_it(self, tmp_path: Path) -> None:
        error = refused(home_with(tmp_path, '[storage."s3://b"]\nregion = "eu"\n\nthreads = 4\n'))
        assert "threads stands below" in error.message
        assert "line 4" in error.message

    @pytest.mark.parametrize(
        "text", ['storage = "s3://b"', "[storage]\nregion = 'eu'", '[storage."s3://b"]\nkeys = [1]']
    )
    def test_other_shapes_are_refused(self, tmp_path: Path, text: str) -> None:
        assert refused(home_with(tmp_path, text)).code == "setting_invalid"


class TestSessionSettings:
    def test_session_may_lower_a_limit_and_choose_its_dialect(self) -> None:
        settings = config.load(None, {}).with_session(statement_timeout_s="5", dialect="spark", optimizer=False)
        assert (settings.statement_timeout_s, settings.dialect, settings.optimizer) == (5.0, "spark", False)
        assert source_of(settings, "dialect") == "session"

    @pytest.mark.parametrize("wanted", [0, 7200])
    def test_session_may_not_lift_a_limit(self, wanted: int) -> None:
        with pytest.raises(InvalidRequest, match="at most 3600") as caught:
            config.load(None, {}).with_session(statement_timeout_s=wanted)
        assert caught.value.code == "setting_fixed"

    def test_session_may_set_any_limit_where_there_is_none(self) -> None:
        assert config.load(None, {}).with_session(result_rows_max=10).result_rows_max == 10

    def test_session_may_not_change_the_lake(self) -> None:
        with pytest.raises(InvalidRequest, match="whole lake"):
            config.load(None, {}).with_session(threads=1)
        with pytest.raises(InvalidRequest, match="Did you mean 'dialect'"):
            config.load(None, {}).with_session(dialekt="spark")


class TestMachine:
    """Copies of what Linux shows inside and outside containers."""

    @staticmethod
    def tree(folder: Path, files: dict[str, str]) -> Path:
        files = {"proc/meminfo": "MemTotal:       16000000 kB\nMemFree: 1 kB\n", **files}
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        return folder

    def test_machine_without_limits(self, tmp_path: Path) -> None:
        root = self.tree(tmp_path, {"proc/self/cgroup": "0::/user\n", "sys/fs/cgroup/user/memory.max": "max\n"})
        assert memory_bytes(root) == 16_000_000 * 1024
        assert cores(root) == cores(tmp_path / "none") >= 1

    def test_second_version_takes_the_tightest_of_the_groups_above(self, tmp_path: Path) -> None:
        root = self.tree(
            tmp_path,
            {
                "proc/self/cgroup": "0::/pod/box\n",
                "sys/fs/cgroup/pod/memory.max": "1000000000\n",
                "sys/fs/cgroup/pod/box/memory.max": "2000000000\n",
                "sys/fs/cgroup/pod/box/cpu.max": "50000 100000\n",
            },
        )
        assert memory_bytes(root) == 1_000_000_000
        assert cores(root) == 1

    def test_first_version_inside_a_container_that_sees_the_hosts_path(self, tmp_path: Path) -> None:
        root = self.tree(
            tmp_path,
            {
                "proc/self/cgroup": "4:memory:/docker/1f\n3:cpu,cpuacct:/docker/1f\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "500000000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "100000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
        )
        assert memory_bytes(root) == 500_000_000
        assert cores(root) == 1

    def test_first_version_writes_no_limit_as_a_huge_number(self, tmp_path: Path) -> None:
        root = self.tree(
            tmp_path,
            {
                "proc/self/cgroup": "4:memory:/\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            },
        )
        assert memory_bytes(root) == 16_000_000 * 1024

    def test_defaults_fit_this_machine(self) -> None:
        settings = config.load(None, {})
        assert 32 << 20 <= settings.memory_bytes_max < memory_bytes()
        assert settings.threads >= 1


class TestTheTableItself:
    def test_documentation_has_every_setting_as_it_is(self) -> None:
        page = (REPOSITORY / "docs" / "configuration.md").read_text(encoding="utf-8")
        assert page == updated(page), "run: python -m neurolake.config.reference docs/configuration.md"

    def test_names_end_in_their_unit(self) -> None:
        endings = {"seconds": "_s", "milliseconds": "_ms"}
        for setting in config.SETTINGS:
            assert setting.name.endswith(endings.get(setting.type, "")), setting.name
            assert setting.help.endswith("."), setting.name

    def test_one_module_reads_the_environment(self) -> None:
        readers = set()
        for path in (*(REPOSITORY / "neurolake").rglob("*.py"), *(REPOSITORY / "flight").rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                named = node.attr if isinstance(node, ast.Attribute) else None
                if named in ("environ", "getenv", "environb"):
                    readers.add(path.relative_to(REPOSITORY).as_posix())
        assert readers == {"neurolake/config/environment.py"}

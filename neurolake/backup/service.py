"""Snapshots of one open lake: what the procedures, the command line and the system table are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from neurolake import errors
from neurolake.activity import Steps
from neurolake.backup import mount as mounting
from neurolake.backup.copy import copy
from neurolake.backup.create import create, fact_of, lake_id
from neurolake.backup.diff import Change, TableDiff, changed_rows, diff
from neurolake.backup.drill import Drilled, drill
from neurolake.backup.external import put_back
from neurolake.backup.faults import reached
from neurolake.backup.folder import Folder
from neurolake.backup.known import Known
from neurolake.backup.manifest import Manifest, Part, in_order, is_id
from neurolake.backup.masked import Asked, create_masked
from neurolake.backup.newhome import restore_home
from neurolake.backup.objects import ObjectFiles
from neurolake.backup.prune import Pruned, prune, retention_of
from neurolake.backup.repository import Files, Repository, nothing, unknown
from neurolake.backup.restore import Restored, Restoring, fetch_all, in_transaction, restore_into
from neurolake.backup.rotate import Rotated, rotate
from neurolake.backup.runs import Outcome
from neurolake.backup.sealed import SealedFiles
from neurolake.backup.sealing import Keyring
from neurolake.backup.throttle import Throttle
from neurolake.backup.verify import Finding, verify
from neurolake.identifiers import fold
from neurolake.sql.text import DEFAULT_SCHEMA, Name

if TYPE_CHECKING:
    from neurolake._duckdb import Cursor
    from neurolake.activity import Activity
    from neurolake.catalog import Event
    from neurolake.engine import Engine

__all__ = ["Backups", "locations"]

T = TypeVar("T")
SCHEMA_TARGET = "schema:"


class Taken(NamedTuple):
    """What came of a snapshot in one repository."""

    repository: str
    manifest: Manifest | None
    bytes_new: int
    problem: errors.NeuroLakeError | None

    @property
    def outcome(self) -> Outcome:
        """What the record of runs says of it."""
        made = self.manifest
        if made is None:
            assert self.problem is not None
            return Outcome.of(self.problem)
        return Outcome(
            snapshot_id=made.snapshot_id, tables=len(made.tables), rows=made.rows, bytes=made.bytes,
            bytes_new=self.bytes_new,
        )  # fmt: skip


class Backups:
    """Takes and uses the snapshots of an engine's lake, on behalf of one statement."""

    def __init__(self, engine: Engine, query_id: str, user_name: str) -> None:
        self._engine = engine
        self._query_id = query_id
        self._user_name = user_name
        self._activity: Activity | None = engine.activities.get(query_id)
        self._steps = Steps()
        if self._activity is not None:
            self._activity.steps = self._steps
        self._throttle = Throttle(engine.settings.snapshot_bytes_per_s_max, self._check)

    # Repositories

    def locations(self) -> list[str]:
        """The repositories of the settings, which new snapshots go to; by default the home's own."""
        return locations(self._engine)

    def repository(self, location: str | None = None) -> Repository:
        """Open a repository, by default the first.

        Raises:
            NotSupported: `repository_scheme`: nothing here writes to that kind of location.
        """
        files, keys = self._files(location or self.locations()[0]), self._engine.settings.snapshot_keys
        sealed = SealedFiles(files, Keyring.of(keys), self._engine.home.tmp) if keys else files
        return Repository(sealed, self._throttle.take, self._steps)

    def _files(self, place: str) -> Files:
        if "://" in place:
            return ObjectFiles(self._engine.storage.objects(place.rstrip("/")), self._engine.home.tmp)
        return Folder(Path(place).expanduser().absolute())

    @contextmanager
    def recorded(self, job: str, mode: str, location: str | None) -> Iterator[dict[str, Outcome]]:
        """Record the block as a run of this statement, in one repository or in all. See `neurolake.backup.runs`."""
        places = [location] if location else self.locations()
        with self._engine.backup_runs.record(self._query_id, job, mode, places) as outcomes:
            try:
                yield outcomes
            except errors.NeuroLakeError as problem:
                raise (self._activity.cause(problem) if self._activity else problem) from None

    def _all(self, location: str | None) -> list[Repository]:
        return [self.repository(place) for place in ([location] if location else self.locations())]

    def snapshots(self, location: str | None = None) -> list[tuple[Repository, str, Manifest | None]]:
        """Every snapshot of every repository, each lake's as they were taken; without a manifest where it is damaged.

        Of several repositories those that cannot be reached are left out.

        Raises:
            SourceFailed: none can be reached.
        """
        found: list[tuple[Repository, str, Manifest | None]] = []
        repositories = self._all(location)
        problems: list[errors.SourceFailed] = []
        for repository in repositories:
            try:
                ids = repository.ids()
            except errors.SourceFailed as problem:
                problems.append(problem)
                continue
            for snapshot_id in ids:
                try:
                    found.append((repository, snapshot_id, repository.manifest(snapshot_id)))
                except errors.NotFound:
                    continue  # removed since it was listed
                except (errors.SourceFailed, errors.NotSupported, errors.AccessDenied) as problem:
                    repository.unread[snapshot_id] = problem
                    found.append((repository, snapshot_id, None))
        if len(problems) == len(repositories):
            raise problems[0]
        order = in_order({manifest.snapshot_id: manifest for _, _, manifest in found if manifest}.values())
        places = {manifest.snapshot_id: place for place, manifest in enumerate(order)}
        return sorted(found, key=lambda one: (places.get(one[1], -1), one[1]))

    def find(self, wanted: str, location: str | None = None) -> tuple[Repository, str]:
        """The snapshot of that id, of the beginning of one, the 'latest', or the last one not after a time.

        The last two never mean a masked snapshot: it does not hold the data.

        Raises:
            NotFound: `snapshot_unknown`.
        """
        if is_id(wanted):
            return self._holding(wanted, location), wanted
        there = self.snapshots(location)
        if (moment := moment_of(wanted)) is not None or wanted == "latest":
            mine = lake_id(self._engine)
            matching = [
                (repository, found)
                for repository, found, manifest in there
                if manifest is not None
                and manifest.lake_id == mine
                and manifest.masked is None
                and (moment is None or manifest.moment <= moment)
            ][-1:]
        else:
            matching = [(repository, found) for repository, found, _ in there if found.startswith(wanted)]
        unread = [problem for repository, _, _ in there for problem in repository.unread.values()]
        sealed = next((problem for problem in unread if isinstance(problem, errors.AccessDenied)), None)
        if not matching and sealed is not None:
            raise sealed
        if not matching and wanted == "latest":
            raise nothing(", ".join(self.locations()) if location is None else location)
        if not matching or len({found for _, found in matching}) > 1:
            raise unknown(wanted, ", ".join(self.locations()) if location is None else location)
        return matching[0]

    def _holding(self, snapshot_id: str, location: str | None) -> Repository:
        """The first repository that holds a snapshot. It is asked for by its name: a listing may be older."""
        problems: list[errors.SourceFailed] = []
        for repository in self._all(location):
            try:
                if repository.holds(snapshot_id):
                    return repository
            except errors.SourceFailed as problem:
                problems.append(problem)
        if problems:
            raise problems[0]
        raise unknown(snapshot_id, ", ".join(self.locations()) if location is None else location)

    def manifest(self, wanted: str, location: str | None = None) -> tuple[Repository, Manifest]:
        """As `find`, with the manifest."""
        repository, snapshot_id = self.find(wanted, location)
        return repository, repository.manifest(snapshot_id)

    # What is done

    def create(
        self,
        kind: str,
        tables: Sequence[str],
        location: str | None,
        *,
        reuse: bool = True,
        as_role: str | None = None,
        external: bool = False,
        history: bool = False,
    ) -> list[Taken]:
        """Take a snapshot into one repository, or into every repository of the settings; what came of each.

        The first that works is written from the tables, the others are copied from it. See `neurolake.backup.create`,
        and `neurolake.backup.masked` for what `as_role` does.

        Raises:
            InvalidRequest: `snapshot_kind`: external files or the history are asked for with anything but all of the
                data.
            NeuroLakeError: what went wrong in the first, if none of them works.
        """
        if (external or history) and (kind != "full" or tables or as_role is not None):
            raise errors.InvalidRequest(
                "Files of sources and the history are only taken along in a full snapshot.", code="snapshot_kind",
                next_step="Take it without naming tables, a role or another kind.",
            )  # fmt: skip
        taken: list[Taken] = []
        made: tuple[Repository, Manifest] | None = None
        try:
            for place in [location] if location else self.locations():
                try:
                    repository = self.repository(place)
                    if made is None:
                        made = repository, self._create(repository, kind, tables, reuse, as_role, external, history)
                        taken.append(Taken(repository.location, made[1], made[1].bytes_new, None))
                    else:
                        bytes_new = copy(made[0], repository, made[1], self._check)
                        taken.append(Taken(repository.location, made[1], bytes_new, None))
                    Known(self._engine.store, repository).add(made[1].snapshot_id)
                except (errors.SourceFailed, errors.LimitReached, errors.Unavailable) as problem:
                    taken.append(Taken(place, None, 0, problem))
        finally:
            self._leave()
        if made is None:
            raise next(one.problem for one in taken if one.problem is not None)
        self._engine.catalog.touch()  # a plan that read the latest is made again
        return taken

    def _create(
        self,
        repository: Repository,
        kind: str,
        tables: Sequence[str],
        reuse: bool,
        as_role: str | None,
        external: bool,
        history: bool,
    ) -> Manifest:
        if as_role is not None:
            asked = Asked(as_role.casefold(), tuple(tables), kind, reuse)
            return create_masked(self._engine, repository, asked, self._user_name, self._check)
        return create(
            self._engine, repository, kind=kind, tables=tables, reuse=reuse, external=external, history=history,
            use=self._use, check=self._check,
        )  # fmt: skip

    def verify(self, wanted: str, mode: str, location: str | None = None) -> list[Finding]:
        """Look at a snapshot. See `neurolake.backup.verify`."""
        repository, snapshot_id = self.find(wanted, location)
        return verify(
            repository,
            snapshot_id,
            mode=mode,
            digest=self._engine.store.fact(fact_of(snapshot_id)),
            options=self._engine.instance.options,
            scratch=self._engine.home.tmp,
            check=self._check,
        )

    def drill(self, repository: Repository, manifest: Manifest, bytes_max: int) -> list[Drilled]:
        """Restore a snapshot into a scratch lake and try that. See `neurolake.backup.drill`."""
        return drill(self._engine, repository, manifest, bytes_max, self._check)

    def restore(
        self,
        wanted: str,
        tables: Sequence[str],
        destination: str | None,
        *,
        overwrite: bool,
        location: str | None,
        external_to: str | None = None,
    ) -> Restored:
        """Bring a snapshot, or tables of one, back.

        Args:
            destination: `schema:name` of this lake, the folder of a new home, or None: where everything was.
            external_to: where the copies of sources' files go, from where a new home's sources read them.

        Raises:
            AlreadyExists: `restore_exists`.
            InvalidRequest: `snapshot_masked`: masked data would stand where the data itself was; `restore_external`:
                only a whole new home can have the files of sources.
            SourceFailed: `snapshot_corrupt`.
        """
        repository, manifest = self.manifest(wanted, location)
        if manifest.kind == "schema" and tables:
            raise errors.NotSupported("A snapshot of kind schema has no rows.", code="snapshot_kind")
        schema = destination.removeprefix(SCHEMA_TARGET) if destination and _is_schema(destination) else None
        if manifest.role is not None and (destination is None or fold(schema or "") == DEFAULT_SCHEMA):
            raise errors.InvalidRequest(
                f"The snapshot {manifest.snapshot_id} is masked: it holds what the role {manifest.role} may see.",
                code="snapshot_masked",
                next_step="Restore it into a new lake's folder, or to schema:name.",
            )
        if external_to is not None and (destination is None or schema is not None or tables):
            raise errors.InvalidRequest(
                "External files are put back for a whole new lake.", code="restore_external",
                next_step="Name a new lake's folder and no tables.",
            )  # fmt: skip
        asked = Restoring.of(manifest, tables, schema, overwrite=overwrite)
        with repository.in_use("restore"):
            reached("restore.begun")
            if destination is not None and schema is None:
                paths = fetch_all(repository, asked.of_home, self._check)
                done = self._restore_home(repository, asked, Path(destination), paths, external_to)
            else:
                paths = fetch_all(repository, asked.tables, self._check)
                done = self._changing(lambda cursor: restore_into(cursor, asked, paths, self._check, self._steps))
        return replace(done, role=manifest.role)

    def _restore_home(
        self, repository: Repository, asked: Restoring, folder: Path, paths: dict[str, Path], external_to: str | None
    ) -> Restored:
        undo: Callable[[], None] = _nothing_to_undo
        if external_to is not None:
            manifest, undo = put_back(self._engine, repository, asked.manifest, external_to, self._check)
            asked = replace(asked, manifest=manifest)
        try:
            return restore_home(asked, folder, paths, self._engine.instance.options, self._check, self._steps)
        except BaseException:
            undo()
            raise

    def diff(self, before: str, after: str, location: str | None = None) -> list[TableDiff]:
        """What became of each table. See `neurolake.backup.diff`."""
        repository, old = self.manifest(before, location)
        _, new = self.manifest(after, repository.location)
        return self._reading(lambda cursor: diff(cursor, repository, old, new, _reach, self._check))

    def diff_rows(
        self, before: str, after: str, table: str, keys: Sequence[str], rows_max: int, location: str | None = None
    ) -> list[Change]:
        """The rows of one table that differ."""
        repository, old = self.manifest(before, location)
        _, new = self.manifest(after, repository.location)
        name = Name.parse(table)
        return self._reading(lambda c: changed_rows(c, repository, old, new, name, keys, rows_max, _reach))

    def prune(self, *, dry_run: bool, location: str | None) -> tuple[Repository, Pruned]:
        """Take away what no rule keeps. See `neurolake.backup.prune`."""
        repository = self.repository(location)
        mounted = self._reading(mounting.mounted)
        rule = retention_of(self._engine.settings)
        known = Known(self._engine.store, repository)
        done = prune(
            repository,
            lake_id(self._engine),
            rule,
            dry_run=dry_run,
            mounted=mounted,
            known=known.ids(),
            check=self._check,
        )
        if not dry_run:
            known.keep(kept.snapshot_id for kept in done.snapshots if kept.reasons)
        return repository, done

    def rotate(self, location: str | None) -> list[Rotated]:
        """Seal with the newest key what older ones have sealed. See `neurolake.backup.rotate`."""
        return [rotate(repository, self._check) for repository in self._all(location)]

    def mount(self, wanted: str, location: str | None) -> tuple[Manifest, Restored]:
        """Show a snapshot as a schema of this lake."""
        repository, manifest = self.manifest(wanted, location)
        home = self._engine.home.path
        reach = mounting.reach(repository, home, manifest.snapshot_id)
        try:
            done = self._changing(lambda cursor: mounting.mount(cursor, repository, manifest, reach))
        finally:
            mounting.clear(home, self._reading(mounting.mounted))
        return manifest, done

    def unmount(self, snapshot_id: str) -> Restored:
        """Take a mounted snapshot's schema away."""
        done = self._changing(lambda cursor: mounting.unmount(cursor, snapshot_id), verb="DROP VIEW")
        mounting.clear(self._engine.home.path, self._reading(mounting.mounted))
        return done

    # How it is done

    def _use(self, cursor: Cursor) -> None:
        if self._activity is not None:
            self._activity.use(cursor, "running")

    def _leave(self) -> None:
        if self._activity is not None:
            self._activity.leave()

    def _check(self) -> None:
        if self._activity is not None:
            self._activity.check()

    def _reading(self, work: Callable[[Cursor], T]) -> T:
        cursor = self._engine.instance.cursor()
        try:
            self._use(cursor)
            return work(cursor)
        finally:
            self._leave()
            cursor.close()

    def _changing(self, work: Callable[[Cursor], Restored], verb: str | None = None) -> Restored:
        """Change the lake in one transaction, together with the catalog's events of each table and view."""

        def change(cursor: Cursor) -> Restored:
            events: list[Event] = []

            def note(said: str, name: Name) -> None:
                target = f"{name.schema}.{name.table}"
                events.append(self._engine.outbox.append(cursor, self._query_id, said, target, self._user_name))

            def within() -> Restored:
                done = work(cursor)
                for name, kind in done.replaced:  # what was granted on it goes with it
                    note(f"DROP {kind.upper()}", name)
                for name, kind, _ in done.objects:
                    if kind in ("table", "view"):
                        note(verb or f"CREATE {kind.upper()}", name)
                return done

            return in_transaction(cursor, within, lambda: self._engine.outbox.settling(events))

        return self._reading(change)


def locations(engine: Engine) -> list[str]:
    """The repositories of a lake's settings; by default its home's own."""
    return list(engine.settings.snapshot_repositories) or [str(engine.home.snapshots)]


def _nothing_to_undo() -> None:
    pass


def _reach(repository: Repository, part: Part) -> Path:
    return repository.fetch(part)


def _is_schema(destination: str) -> bool:
    return destination.startswith(SCHEMA_TARGET)


def moment_of(text: str) -> datetime | None:
    """The time that a text says, in UTC where it names no zone; None where it is none."""
    with suppress(ValueError):
        found = datetime.fromisoformat(text)
        return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    return None

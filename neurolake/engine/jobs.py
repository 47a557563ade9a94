"""Long procedures that nobody waits for: a call with `wait => false` goes on as a job, a statement of its own."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Final

from neurolake import errors
from neurolake.governance.logins import Ending
from neurolake.query import Request, evolve, new_query_id

if TYPE_CHECKING:
    from neurolake.engine import Engine
    from neurolake.session import Session

__all__ = ["Jobs"]

logger = logging.getLogger("neurolake")

SHOWN_WITHIN_S: Final = 5.0
"""How long a call waits until its job shows as running."""
CLOSE_S: Final = 5.0
"""How long the end of the lake waits for jobs, which it has cancelled."""


class Jobs:
    """The jobs of one lake. A job works in a session of its own, with the login that asked for it, and ends with that.

    Args:
        engine: runs them.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._threads: dict[Session, threading.Thread] = {}
        engine.logins.on_end(self._ended)

    def __len__(self) -> int:
        return len(self._threads)

    def start(self, request: Request) -> str:
        """Begin a call as a job; its query id, under which it shows in `running` when this returns, or is over.

        Raises:
            LimitReached: `jobs_max` are at work.
        """
        asker = request.session
        session = self._engine.session(asker.principal, client=asker.client)
        session.login, session.schema, session.dialect = asker.login, asker.schema, asker.dialect
        session.is_user, session.timeout_s = asker.is_user, asker.timeout_s
        job = evolve(request, session=session, query_id=new_query_id(), asker=None, is_job=True)
        thread = threading.Thread(target=self._run, args=(job,), name="neurolake-job", daemon=True)
        with self._lock:
            if len(self._threads) >= self._engine.settings.jobs_max:
                raise errors.LimitReached(
                    f"{len(self._threads)} jobs are at work.",
                    next_step="Wait until one has ended: SELECT * FROM neurolake.running; or raise jobs_max.",
                )
            self._threads[session] = thread
        thread.start()
        until = time.monotonic() + SHOWN_WITHIN_S
        while thread.is_alive() and self._engine.activities.get(job.query_id) is None and time.monotonic() < until:
            time.sleep(0.001)
        return job.query_id

    def _run(self, job: Request) -> None:
        try:
            self._engine.run(job).arrow()
        except errors.NeuroLakeError:
            return  # its record in the history says so
        except Exception as fault:  # nobody waits for it: its record has it, and the log that it was a fault
            logger.error("the job %s failed: a fault (%s)", job.query_id, type(fault).__name__)
        finally:
            with self._lock:
                self._threads.pop(job.session, None)
            job.session.close()

    def _ended(self, ending: Ending) -> None:
        with self._lock:
            sessions = list(self._threads)
        for session in sessions:
            if session.login is not None and ending.hits(session.login):
                self._engine.activities.stop_of(session, "The login that began the job does not hold any more.")

    def close(self) -> None:
        """Wait for them to end; whoever closes the lake has cancelled them."""
        with self._lock:
            threads = list(self._threads.values())
        until = time.monotonic() + CLOSE_S
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))

"""Who is asking: from a token to the account, and to the actor inside a workspace."""

import asyncio
import hashlib
import hmac
from uuid import UUID

from millpond.base.clock import Clock, SystemClock
from millpond.base.errors import MillpondError, NotAuthenticated, NotFound, PermissionDenied
from millpond.base.log import get_logger
from millpond.base.sealing import MasterKey
from millpond.model.actors import Account, Actor, JobIdentity
from millpond.model.state_paths import state_path_of
from millpond.services.identity_cache import IdentityCache
from millpond.services.job_tokens import MARK, JobClaim, JobTokens
from millpond.store import identities as store
from millpond.store.identities import Credentials, Identity, JobFacts
from millpond.store.pool import Database

log = get_logger()

SUPERADMIN_EMAIL = "admin@localhost"
SUPERADMIN_USERNAME = "admin"


def digest_of(token: str) -> bytes:
    """What is kept of a token. It holds 256 random bits: a plain digest cannot be guessed back."""
    return hashlib.sha256(token.encode()).digest()


class Identities:
    """Resolves credentials, each in one round trip, and remembers the answer for a second at most.

    A change of rights acts at once in the process that makes it, which calls `forget_all`, and within a
    second in every other server on the same database.
    """

    def __init__(
        self,
        database: Database,
        master_key: MasterKey,
        superadmin_secret: str | None,
        clock: Clock | None = None,
    ) -> None:
        self._database = database
        self._job_tokens = JobTokens(master_key)
        self._secret_digest = digest_of(superadmin_secret) if superadmin_secret else None
        self._cache = IdentityCache(clock or SystemClock())
        self._touching: dict[bytes, asyncio.Task[None]] = {}

    async def authenticate(self, token: str) -> Account:
        """The account behind a token. Raises NotAuthenticated when it is unknown, expired or revoked."""
        key = (digest_of(token), None)
        known = self._cache.get(key)
        if isinstance(known, Account):
            return known
        generation = self._cache.generation
        identity = await self._identify(token, key[0], None)
        account = _account(identity)
        self._keep(key, account, identity, generation)
        return account

    async def enter(self, token: str, workspace_id: str) -> Actor:
        """The actor a token is inside a workspace.

        Raises NotAuthenticated for a token that is unknown, expired or revoked, or of a job that runs no
        more; PermissionDenied for one bound to another workspace, for disabled members and for those who
        are none, whether or not the workspace exists; NotFound when it is archived, and for superadmins
        when it does not exist.
        """
        key = (digest_of(token), workspace_id)
        known = self._cache.get(key)
        if isinstance(known, Actor):
            return known
        generation = self._cache.generation
        identity = await self._identify(token, key[0], workspace_id)
        actor = _actor(identity, workspace_id)
        self._keep(key, actor, identity, generation)
        return actor

    def issue_job_token(self, workspace_id: str, job_id: UUID, lease_token: int) -> str:
        """A token with the rights of the job's user, in its workspace, while this lease lasts."""
        return self._job_tokens.issue(JobClaim(workspace_id, job_id, lease_token))

    async def actor_of_job(self, workspace_id: str, job_id: UUID, email: str, permissioned_as: str) -> Actor:
        """Whom a job runs as, for what the instance itself does on its behalf: evaluating a flow's expressions.

        Raises NotAuthenticated when that is nobody, and as `enter`.
        """
        superadmin = None if self._secret_digest is None else SUPERADMIN_EMAIL
        shown = Credentials(
            job_superadmin=superadmin,
            job_workspace=workspace_id,
            job_id=job_id,
            acts_as_email=email,
            acts_as=permissioned_as,
        )
        async with self._database.statement() as connection:
            identity = await store.identify(connection, workspace_id, shown)
        if identity is None:
            raise NotAuthenticated(f"job {job_id} runs as {permissioned_as}, who is nobody")
        return _actor(identity, workspace_id)

    def forget_job(self, job_id: UUID) -> None:
        """Called when a job ended here: its token opens nothing any more."""
        self._cache.forget_job(job_id)

    def forget_all(self) -> None:
        """Called after each change of rights is committed: it acts on the next request."""
        self._cache.forget_all()

    async def aclose(self) -> None:
        """Wait for notes of use still being written."""
        await asyncio.gather(*self._touching.values())

    async def _identify(self, token: str, digest: bytes, workspace_id: str | None) -> Identity:
        shown = self._credentials(token, digest)
        async with self._database.statement() as connection:
            identity = await store.identify(connection, workspace_id, shown)
        if identity is None:
            raise NotAuthenticated("the token is unknown, expired or revoked")
        if identity.use_is_stale:
            self._note_use(digest)
        return identity

    def _credentials(self, token: str, digest: bytes) -> Credentials:
        if self._secret_digest is not None and hmac.compare_digest(digest, self._secret_digest):
            return Credentials(secret_email=SUPERADMIN_EMAIL, secret_username=SUPERADMIN_USERNAME)
        if not token.startswith(MARK):
            return Credentials(token_hash=digest)
        claim = self._job_tokens.read(token)
        if claim is None:
            raise NotAuthenticated("the token is not one of this instance")
        return Credentials(
            job_superadmin=None if self._secret_digest is None else SUPERADMIN_EMAIL,
            job_workspace=claim.workspace_id,
            job_id=claim.job_id,
            lease_token=claim.lease_token,
        )

    def _keep(
        self, key: tuple[bytes, str | None], known: Account | Actor, identity: Identity, generation: int
    ) -> None:
        job_id = None if identity.job is None else identity.job.job_id
        self._cache.keep(key, known, generation, expires_in_secs=identity.expires_in_secs, job_id=job_id)

    def _note_use(self, digest: bytes) -> None:
        # The request does not wait for this; a lost note only makes "last used" a minute older.
        if digest not in self._touching:
            task = asyncio.create_task(self._touch(digest), name="note-token-use")
            self._touching[digest] = task
            task.add_done_callback(lambda _: self._touching.pop(digest, None))

    async def _touch(self, digest: bytes) -> None:
        try:
            async with self._database.statement() as connection:
                await store.touch_token(connection, digest)
        except MillpondError as error:
            log.warning("token_use_not_noted", error=type(error).__name__)


def _account(identity: Identity) -> Account:
    return Account(
        email=identity.email,
        username=identity.username,
        is_superadmin=identity.is_superadmin and identity.bound_to is None,
        scopes=identity.scopes,
        workspace_id=identity.bound_to,
        job=_job_identity(identity),
    )


def _actor(identity: Identity, workspace_id: str) -> Actor:
    if identity.bound_to is not None and identity.bound_to != workspace_id:
        raise PermissionDenied(f"The token opens workspace {identity.bound_to} only")
    member = identity.membership
    if member is None and not identity.is_superadmin:
        raise PermissionDenied(f"{identity.email} is no member of workspace {workspace_id}")
    if identity.archived is None:
        raise NotFound(f"No workspace {workspace_id}")
    if identity.archived:
        raise NotFound(f"Workspace {workspace_id} is archived; a superadmin can bring it back")
    if member is None:
        return Actor(
            workspace_id=workspace_id,
            email=identity.email,
            username=identity.username,
            is_superadmin=True,
            is_admin=True,
            scopes=identity.scopes,
            job=_job_identity(identity),
        )
    if member.disabled and not identity.is_superadmin:
        raise PermissionDenied(f"{identity.email} is disabled in workspace {workspace_id}")
    return Actor(
        workspace_id=workspace_id,
        email=identity.email,
        username=member.username,
        is_superadmin=identity.is_superadmin,
        is_admin=identity.is_superadmin or member.role == "admin",
        is_operator=member.role == "operator" and not identity.is_superadmin,
        groups=member.groups | {"all"},
        readable_folders=member.readable_folders,
        writable_folders=member.writable_folders,
        owned_folders=member.owned_folders,
        scopes=identity.scopes,
        job=_job_identity(identity),
    )


def _job_identity(identity: Identity) -> JobIdentity | None:
    job = identity.job
    if job is None:
        return None
    return JobIdentity(job_id=job.job_id, state_path=_state_path(job))


def _state_path(job: JobFacts) -> str | None:
    return state_path_of(
        username=job.created_by,
        kind=job.kind,
        path=job.runnable_path,
        schedule_path=job.schedule_path,
        flow_path=job.flow_path,
        step_id=job.flow_step_id,
        is_test=job.is_test,
    )

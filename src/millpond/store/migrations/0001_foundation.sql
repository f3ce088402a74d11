-- The ground floor: the instance, workspaces and who may do what in them, stored values, scripts, and jobs.
-- Every workspace table leads its primary key with workspace_id, so that a distributed PostgreSQL can shard by it.

CREATE TABLE instance_setting (
    name  text PRIMARY KEY,
    value json NOT NULL
);

CREATE TABLE account (
    email         text PRIMARY KEY CHECK (length(email) BETWEEN 1 AND 255),
    username      text NOT NULL CHECK (username ~ '^[\w-]{1,50}$'),
    password_hash text,
    is_superadmin boolean NOT NULL DEFAULT false,
    name          text,
    company       text,
    created_at    timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE login_link (
    token_hash bytea PRIMARY KEY,
    email      text NOT NULL REFERENCES account ON DELETE CASCADE ON UPDATE CASCADE,
    expires_at timestamptz NOT NULL
);

CREATE TABLE workspace (
    id         text PRIMARY KEY CHECK (id ~ '^[a-z0-9][a-z0-9_-]{0,49}$'),
    name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    owner      text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    archived   boolean NOT NULL DEFAULT false,
    sealed_key bytea NOT NULL
);

CREATE TABLE token (
    token_hash   bytea PRIMARY KEY,
    prefix       text NOT NULL,
    email        text NOT NULL REFERENCES account ON DELETE CASCADE ON UPDATE CASCADE,
    kind         text NOT NULL CHECK (kind IN ('token', 'session')),
    label        text,
    workspace_id text REFERENCES workspace ON DELETE CASCADE,
    scopes       text[],
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz
);
-- Serves list_tokens and revoke_token.
CREATE INDEX token_list_tokens ON token (email, prefix);

CREATE TABLE workspace_user (
    workspace_id text NOT NULL REFERENCES workspace ON DELETE CASCADE,
    username     text NOT NULL CHECK (username ~ '^[\w-]{1,50}$'),
    email        text NOT NULL REFERENCES account ON DELETE CASCADE ON UPDATE CASCADE,
    role         text NOT NULL CHECK (role IN ('admin', 'developer', 'operator')),
    disabled     boolean NOT NULL DEFAULT false,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, username),
    CONSTRAINT workspace_user_email_taken UNIQUE (workspace_id, email)
);
-- Serves list_workspaces_of_account.
CREATE INDEX workspace_user_list_workspaces_of_account ON workspace_user (email);

CREATE TABLE workspace_group (
    workspace_id text NOT NULL REFERENCES workspace ON DELETE CASCADE,
    name         text NOT NULL CHECK (name ~ '^[\w-]{1,50}$'),
    summary      text,
    extra_perms  jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (workspace_id, name)
);

CREATE TABLE group_member (
    workspace_id text NOT NULL,
    group_name   text NOT NULL,
    username     text NOT NULL,
    PRIMARY KEY (workspace_id, group_name, username),
    CONSTRAINT group_member_group FOREIGN KEY (workspace_id, group_name)
        REFERENCES workspace_group ON DELETE CASCADE,
    CONSTRAINT group_member_user FOREIGN KEY (workspace_id, username)
        REFERENCES workspace_user ON DELETE CASCADE
);
-- Serves load_membership.
CREATE INDEX group_member_load_membership ON group_member (workspace_id, username);

CREATE TABLE folder (
    workspace_id text NOT NULL REFERENCES workspace ON DELETE CASCADE,
    name         text NOT NULL CHECK (name ~ '^[\w-]{1,50}$'),
    display_name text NOT NULL,
    summary      text,
    owners       text[] NOT NULL DEFAULT '{}',
    extra_perms  jsonb NOT NULL DEFAULT '{}',
    created_by   text NOT NULL,
    edited_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, name)
);

CREATE TABLE resource_type (
    workspace_id     text NOT NULL REFERENCES workspace ON DELETE CASCADE,
    name             text NOT NULL CONSTRAINT resource_type_name CHECK (name ~ '^[\w-]{1,50}$'),
    schema           json,
    description      text,
    created_by       text NOT NULL,
    edited_at        timestamptz NOT NULL DEFAULT now(),
    format_extension text CHECK (length(format_extension) <= 20),
    is_fileset       boolean NOT NULL DEFAULT false,
    PRIMARY KEY (workspace_id, name)
);

-- A state is a resource of type 'state' and shares the namespace; `value` is json, not jsonb: it is carried
-- byte for byte, key order and number format included.
CREATE TABLE resource (
    workspace_id  text NOT NULL REFERENCES workspace ON DELETE CASCADE,
    path          text NOT NULL CONSTRAINT resource_path CHECK (path ~ '^[ufg](/[\w-]+){2,}$' AND length(path) <= 255),
    value         json,
    description   text,
    resource_type text NOT NULL CHECK (resource_type ~ '^[\w-]{1,50}$'),
    extra_perms   jsonb NOT NULL DEFAULT '{}',
    labels        text[],
    created_by    text NOT NULL,
    edited_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, path)
);
-- Serves list_resources filtered by type.
CREATE INDEX resource_list_by_type ON resource (workspace_id, resource_type, path);

CREATE TABLE variable (
    workspace_id text NOT NULL REFERENCES workspace ON DELETE CASCADE,
    path         text NOT NULL CONSTRAINT variable_path CHECK (path ~ '^[ufg](/[\w-]+){2,}$' AND length(path) <= 255),
    value        text NOT NULL CONSTRAINT variable_value_length CHECK (length(value) <= 65536),
    is_secret    boolean NOT NULL,
    description  text NOT NULL DEFAULT '' CONSTRAINT variable_description_length CHECK (length(description) <= 10000),
    extra_perms  jsonb NOT NULL DEFAULT '{}',
    labels       text[],
    account      integer,
    is_oauth     boolean NOT NULL DEFAULT false,
    expires_at   timestamptz,
    edited_by    text NOT NULL,
    edited_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, path)
);

CREATE TABLE script (
    workspace_id         text NOT NULL REFERENCES workspace ON DELETE CASCADE,
    hash                 bigint NOT NULL,
    path                 text NOT NULL CONSTRAINT script_path CHECK (path ~ '^[ufg](/[\w-]+){2,}$' AND length(path) <= 255),
    parent_hashes        bigint[] NOT NULL DEFAULT '{}',
    summary              text NOT NULL,
    description          text NOT NULL,
    content              text NOT NULL,
    language             text NOT NULL,
    kind                 text NOT NULL CHECK (kind IN ('script', 'failure', 'trigger', 'command', 'approval', 'preprocessor')),
    schema               json,
    lock                 text,
    lock_error_logs      text,
    lock_job_id          uuid,
    has_preprocessor     boolean NOT NULL DEFAULT false,
    no_main              boolean NOT NULL DEFAULT false,
    archived             boolean NOT NULL DEFAULT false,
    deleted              boolean NOT NULL DEFAULT false,
    is_template          boolean NOT NULL DEFAULT false,
    settings             json NOT NULL DEFAULT '{}',
    extra_perms          jsonb NOT NULL DEFAULT '{}',
    labels               text[],
    deployment_message   text,
    created_by           text NOT NULL,
    created_at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (workspace_id, hash),
    CONSTRAINT script_one_head CHECK (NOT deleted OR archived)
);
-- One head a path: two deployments at once cannot both become it.
CREATE UNIQUE INDEX script_head ON script (workspace_id, path) WHERE NOT archived;
-- Serves script_history and get_script_by_path.
CREATE INDEX script_history ON script (workspace_id, path, created_at DESC);
-- Serves get_child.
CREATE INDEX script_get_child ON script (workspace_id, (parent_hashes[1]));

CREATE TABLE starred (
    workspace_id text NOT NULL REFERENCES workspace ON DELETE CASCADE,
    username     text NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('script', 'flow')),
    path         text NOT NULL,
    PRIMARY KEY (workspace_id, username, kind, path)
);

-- Jobs. The three partitioned tables share their bounds: ids are UUIDs of version 7, so a range of ids is a range
-- of time, equality on the id prunes to one partition, and retention drops whole partitions.

-- What a job is: written once, never changed.
CREATE TABLE job (
    workspace_id    text NOT NULL,
    id              uuid NOT NULL,
    kind            text NOT NULL,
    runnable_path   text,
    script_hash     bigint,
    language        text,
    raw_code        text,
    raw_lock        text,
    args            json,
    entrypoint      text,
    tag             text NOT NULL,
    priority        smallint NOT NULL DEFAULT 0,
    timeout_s       integer,
    parent_job      uuid,
    root_job        uuid,
    flow_step_id    text,
    created_by      text NOT NULL,
    permissioned_as text NOT NULL,
    email           text NOT NULL,
    trigger_kind    text,
    schedule_path   text,
    visible_to_owner boolean NOT NULL DEFAULT true,
    scheduled_for   timestamptz NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, id)
) PARTITION BY RANGE (id);
-- Serves list_jobs.
CREATE INDEX job_list_jobs ON job (workspace_id, created_at DESC, id DESC);
-- Serves list_jobs filtered by path.
CREATE INDEX job_list_by_path ON job (workspace_id, runnable_path, created_at DESC);
-- Serves list_jobs filtered by parent, and cancel_children.
CREATE INDEX job_list_children ON job (workspace_id, parent_job) WHERE parent_job IS NOT NULL;

-- What waits or runs: small and hot. `lease_token` fences: it rises with every claim, and a completion that names
-- another value changes nothing.
CREATE SEQUENCE lease_token AS bigint;
CREATE TABLE job_queue (
    workspace_id    text NOT NULL,
    job_id          uuid NOT NULL,
    lane            text NOT NULL CHECK (lane IN ('process', 'inline')),
    state           text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running')),
    tag             text NOT NULL,
    priority        smallint NOT NULL DEFAULT 0,
    scheduled_for   timestamptz NOT NULL,
    worker_id       uuid,
    lease_token     bigint,
    rescues         smallint NOT NULL DEFAULT 0,
    started_at      timestamptz,
    canceled_by     text,
    canceled_reason text,
    percent         smallint,
    sandbox         text,
    PRIMARY KEY (workspace_id, job_id),
    CONSTRAINT job_queue_running_is_leased CHECK ((state = 'running') = (worker_id IS NOT NULL AND lease_token IS NOT NULL))
) WITH (fillfactor = 70);
-- Serves claim_jobs.
CREATE INDEX job_queue_claim ON job_queue (lane, priority DESC, scheduled_for, job_id) WHERE state = 'queued';
-- Serves heartbeat and rescue_jobs.
CREATE INDEX job_queue_running ON job_queue (worker_id) WHERE state = 'running';

-- How a job ended: one row, written in the statement that removes it from the queue.
CREATE TABLE job_completed (
    workspace_id      text NOT NULL,
    job_id            uuid NOT NULL,
    status            text NOT NULL CHECK (status IN ('success', 'failure', 'canceled', 'skipped')),
    result            json,
    started_at        timestamptz,
    completed_at      timestamptz NOT NULL DEFAULT now(),
    duration_ms       bigint NOT NULL,
    memory_peak_bytes bigint,
    canceled_by       text,
    canceled_reason   text,
    labels            text[],
    worker_id         uuid,
    sandbox           text,
    deleted           boolean NOT NULL DEFAULT false,
    PRIMARY KEY (workspace_id, job_id)
) PARTITION BY RANGE (job_id);
-- Serves list_jobs filtered by completion, and count_completed.
CREATE INDEX job_completed_list ON job_completed (workspace_id, completed_at DESC);
-- Serves list_jobs filtered by success=false.
CREATE INDEX job_completed_list_failures ON job_completed (workspace_id, completed_at DESC) WHERE status IN ('failure', 'canceled');

-- What a job printed, in chunks; `start_character` counts from 0 over the whole log.
CREATE TABLE job_log (
    workspace_id    text NOT NULL,
    job_id          uuid NOT NULL,
    kind            text NOT NULL CHECK (kind IN ('log', 'stream')),
    chunk           integer NOT NULL,
    start_character bigint NOT NULL,
    content         text NOT NULL,
    PRIMARY KEY (workspace_id, job_id, kind, chunk)
) PARTITION BY RANGE (job_id);

CREATE TABLE job_default PARTITION OF job DEFAULT;
CREATE TABLE job_completed_default PARTITION OF job_completed DEFAULT;
CREATE TABLE job_log_default PARTITION OF job_log DEFAULT;

-- A worker holds one lease for all it runs; its jobs are rescued when the lease has run out.
CREATE TABLE worker (
    id           uuid PRIMARY KEY,
    name         text NOT NULL,
    host         text NOT NULL,
    process_id   integer NOT NULL,
    tags         text[] NOT NULL,
    slots        integer NOT NULL,
    version      text NOT NULL,
    sandbox      text NOT NULL,
    started_at   timestamptz NOT NULL DEFAULT now(),
    lease_until  timestamptz NOT NULL,
    last_ping_at timestamptz NOT NULL DEFAULT now(),
    jobs_done    bigint NOT NULL DEFAULT 0,
    draining     boolean NOT NULL DEFAULT false
);


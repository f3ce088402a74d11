-- Flows: definitions, runs and where they stand, what reaches them from outside, and what their steps share.

CREATE TABLE flow (
    workspace_id           text NOT NULL REFERENCES workspace ON DELETE CASCADE,
    path                   text NOT NULL CONSTRAINT flow_path CHECK (path ~ '^[ufg](/[\w-]+){2,}$' AND length(path) <= 255),
    version_id             bigint NOT NULL,
    summary                text NOT NULL,
    description            text NOT NULL,
    settings               json NOT NULL DEFAULT '{}',
    archived               boolean NOT NULL DEFAULT false,
    extra_perms            jsonb NOT NULL DEFAULT '{}',
    labels                 text[],
    edited_by              text NOT NULL,
    edited_at              timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, path)
);

-- Every saved version, never changed but for the locks its dependency job resolves. `value` and `schema` are carried
-- as they were given.
CREATE TABLE flow_version (
    workspace_id       text NOT NULL REFERENCES workspace ON DELETE CASCADE,
    id                 bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    path               text NOT NULL,
    value              json NOT NULL,
    schema             json,
    lock_job_id        uuid,
    lock_error_logs    text,
    is_locked          boolean NOT NULL DEFAULT false,
    deployment_message text,
    created_by         text NOT NULL,
    created_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT flow_version_flow FOREIGN KEY (workspace_id, path) REFERENCES flow ON DELETE CASCADE ON UPDATE CASCADE
        DEFERRABLE INITIALLY DEFERRED
);
-- Serves list_versions.
CREATE INDEX flow_version_list_versions ON flow_version (workspace_id, path, id DESC);

-- A child of a flow is found by its place: step (the loop, where one job is a whole turn of it), attempt, and number
-- within a loop or branches (null: it is the only one). `flow_path` is the deployed flow a step belongs to, the same at any depth; `flow_branch` which body of a
-- branching step a flow job runs; `depth` how many flows enclose the job;
-- `is_test` that an editor started it, so that its states are not those of production.
ALTER TABLE job
    ADD COLUMN flow_version         bigint,
    ADD COLUMN raw_flow             json,
    ADD COLUMN flow_path            text,
    ADD COLUMN step_place           text,
    ADD COLUMN step_attempt         integer,
    ADD COLUMN step_index           integer,
    ADD COLUMN flow_branch          smallint,
    ADD COLUMN depth                smallint NOT NULL DEFAULT 0,
    ADD COLUMN same_worker          boolean NOT NULL DEFAULT false,
    ADD COLUMN is_test              boolean NOT NULL DEFAULT false,
    ADD COLUMN cache_ttl_s          integer,
    ADD COLUMN delete_after_s       integer,
    ADD COLUMN concurrency_key      text,
    ADD COLUMN concurrent_limit     integer,
    ADD COLUMN concurrency_window_s integer;
DROP INDEX job_list_children;
-- Serves list_jobs filtered by parent, lock_tree, and get_child.
CREATE INDEX job_children ON job (workspace_id, parent_job, step_place, step_attempt, step_index)
 WHERE parent_job IS NOT NULL;

-- A flow job waits without a worker: `waiting` until something is said to it, `queued` for a time that will come.
-- `pinned_to` names the one worker that holds the flow's shared directory.
ALTER TABLE job_queue
    DROP CONSTRAINT job_queue_lane_check,
    ADD CONSTRAINT job_queue_lane_check CHECK (lane IN ('process', 'inline', 'flow')),
    DROP CONSTRAINT job_queue_state_check,
    ADD CONSTRAINT job_queue_state_check CHECK (state IN ('queued', 'running', 'waiting')),
    ADD COLUMN pinned_to text;
-- Serves missing_pins and move_pins.
CREATE INDEX job_queue_pinned ON job_queue (pinned_to) WHERE pinned_to IS NOT NULL;

-- Where the directory is that the steps of a flow share: written when its first step makes it, gone with it. What is
-- `held_by` a worker that is no more is lost.
CREATE TABLE shared_directory (
    workspace_id text NOT NULL,
    flow_job     uuid NOT NULL,
    held_by      text NOT NULL,
    made_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, flow_job)
);

-- Where a flow job stands. `version` rises with every change and with every message to the flow: a turn that was worked
-- out for an older one changes nothing. `status` is null until the first. `args` are those a preprocessor made;
-- `early_result` answers synchronous callers; at `wake_at` a sleep or a wait for approvals is over.
CREATE TABLE flow_status (
    workspace_id text NOT NULL,
    job_id       uuid NOT NULL,
    version      bigint NOT NULL DEFAULT 0,
    status       json,
    args         json,
    early_result json,
    wake_at      timestamptz,
    PRIMARY KEY (workspace_id, job_id)
) PARTITION BY RANGE (job_id);

-- What happened to a flow outside of its workers' turns: approvals, cancellations, children that were ended by others.
CREATE TABLE flow_inbox (
    workspace_id text NOT NULL,
    flow_job     uuid NOT NULL,
    number       bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    event        json NOT NULL,
    PRIMARY KEY (workspace_id, flow_job, number)
);

-- What a loop goes over, item by item, for as long as its flow runs.
CREATE TABLE flow_item (
    workspace_id text NOT NULL,
    flow_job     uuid NOT NULL,
    module       text NOT NULL,
    attempt      integer NOT NULL,
    number       integer NOT NULL,
    item         json NOT NULL,
    PRIMARY KEY (workspace_id, flow_job, module, attempt, number)
) PARTITION BY RANGE (flow_job);

-- Answers to waits. `job_id` is the job the link names: the step that asks, or the flow itself; it can answer once for
-- each number.
CREATE TABLE flow_approval (
    workspace_id text NOT NULL,
    flow_job     uuid NOT NULL,
    job_id       uuid NOT NULL,
    resume_id    bigint NOT NULL,
    step         text,
    attempt      integer NOT NULL DEFAULT 0,
    approver     text,
    approved     boolean NOT NULL,
    payload      json NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT flow_approval_once PRIMARY KEY (workspace_id, flow_job, job_id, resume_id)
) PARTITION BY RANGE (flow_job);

-- What steps of a flow tell each other: one row a key, always of the outermost flow.
CREATE TABLE flow_user_state (
    workspace_id text NOT NULL,
    flow_job     uuid NOT NULL,
    key          text NOT NULL,
    value        json NOT NULL,
    updated_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, flow_job, key)
) PARTITION BY RANGE (flow_job);

CREATE TABLE flow_status_default PARTITION OF flow_status DEFAULT;
CREATE TABLE flow_item_default PARTITION OF flow_item DEFAULT;
CREATE TABLE flow_approval_default PARTITION OF flow_approval DEFAULT;
CREATE TABLE flow_user_state_default PARTITION OF flow_user_state DEFAULT;

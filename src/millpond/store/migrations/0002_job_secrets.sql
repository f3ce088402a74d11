-- The secrets a running job has read, so that its worker, another process, masks them in what the job prints.
-- `sealed_value` is the variable's ciphertext under the workspace's key, as it stood when it was read.
CREATE TABLE job_secret (
    workspace_id text NOT NULL,
    job_id       uuid NOT NULL,
    number       bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    path         text NOT NULL,
    sealed_value text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    -- Serves list_new; the path is no part of it, for a variable may change between two reads of one job.
    PRIMARY KEY (workspace_id, job_id, number)
);

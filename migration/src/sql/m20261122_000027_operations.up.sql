-- Long work on the whole database, which operators ask for and the backup worker does: the server only
-- queues. It may write what is asked for, and that it is called off; what becomes of it is the worker's
-- to say. Of no organization, and in no backup: what was being done is not what is kept.
-- lint: allow tenant-without-org-id because operations are of the whole database, and no tenant reaches them
CREATE TABLE operations (
    id                  uuid         NOT NULL,
    kind                text         NOT NULL,
    request             jsonb        NOT NULL DEFAULT '{}',
    state               text         NOT NULL DEFAULT 'queued',
    requested_by        varchar(255) NOT NULL,
    request_key         varchar(255),
    fingerprint         bytea,
    created_at          timestamptz  NOT NULL DEFAULT now(),
    started_at          timestamptz,
    heartbeat_at        timestamptz,
    cancel_requested_at timestamptz,
    ended_at            timestamptz,
    worker              text,
    progress            jsonb,
    result              jsonb,
    error               jsonb,
    CONSTRAINT operations_pkey PRIMARY KEY (id),
    CONSTRAINT operations_kind_check CHECK (kind IN ('backup.create', 'backup.restore',
        'backup.delete', 'backup.cleanup', 'backup.verify', 'backup.drill')),
    CONSTRAINT operations_state_check
        CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled'))
);
-- Sent twice, it is one; so is a run of the schedule, however many workers there are.
CREATE UNIQUE INDEX operations_requested_by_request_key_key
    ON operations (requested_by, request_key) WHERE request_key IS NOT NULL;
CREATE INDEX operations_created_at_idx ON operations (created_at DESC, id DESC);
CREATE INDEX operations_open_idx ON operations (created_at, id)
    WHERE state IN ('queued', 'running');

-- What is known of backups, in one row: the worker that follows the schedule says when it will make
-- the next, and whoever made or removed one says which there are.
-- lint: allow tenant-without-org-id because backups are of the whole database, and no tenant reaches this
CREATE TABLE backup_reports (
    id           smallint    NOT NULL DEFAULT 1,
    worker       text,
    heartbeat_at timestamptz,
    schedule     jsonb,
    store        jsonb,
    stored_at    timestamptz,
    runs         jsonb       NOT NULL DEFAULT '{}',
    CONSTRAINT backup_reports_pkey PRIMARY KEY (id),
    CONSTRAINT backup_reports_id_check CHECK (id = 1)
);

REVOKE INSERT, UPDATE ON operations, backup_reports FROM "brownie-server";
GRANT INSERT (id, kind, request, requested_by, request_key, fingerprint, created_at)
    ON operations TO "brownie-server";
GRANT UPDATE (cancel_requested_at) ON operations TO "brownie-server";
GRANT INSERT, UPDATE, DELETE ON operations TO "brownie-backup";
GRANT INSERT, UPDATE ON backup_reports TO "brownie-backup";

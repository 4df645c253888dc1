-- Who did what, written in the transaction that did it. Append-only; partitioned by id as stats is.
CREATE TABLE audit_log (
    org_id      uuid        NOT NULL,
    id          uuid        NOT NULL,
    occurred_at timestamptz NOT NULL,
    actor_kind  text        NOT NULL,
    actor_id    uuid,
    actor_name  text,
    request_id  uuid        NOT NULL,
    action      text        NOT NULL,
    resource    text        NOT NULL,
    resource_id uuid        NOT NULL,
    version     bigint      NOT NULL,
    CONSTRAINT audit_log_pkey PRIMARY KEY (org_id, id),
    CONSTRAINT audit_log_org_id_fkey FOREIGN KEY (org_id) REFERENCES organizations (id),
    CONSTRAINT audit_log_actor_kind_check CHECK (actor_kind IN ('user', 'api_key', 'job', 'system'))
) PARTITION BY RANGE (id);
CREATE TABLE audit_log_default PARTITION OF audit_log DEFAULT;
CREATE INDEX audit_log_org_id_resource_id_idx ON audit_log (org_id, resource_id, id);

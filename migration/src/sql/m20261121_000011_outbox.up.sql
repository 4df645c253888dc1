-- What others are told, written in the transaction that it tells of. Append-only; partitioned by id
-- as stats is.
CREATE TABLE outbox (
    org_id      uuid        NOT NULL,
    id          uuid        NOT NULL,
    occurred_at timestamptz NOT NULL,
    event       text        NOT NULL,
    resource    text        NOT NULL,
    resource_id uuid        NOT NULL,
    version     bigint      NOT NULL,
    CONSTRAINT outbox_pkey PRIMARY KEY (org_id, id),
    CONSTRAINT outbox_org_id_fkey FOREIGN KEY (org_id) REFERENCES organizations (id)
) PARTITION BY RANGE (id);
CREATE TABLE outbox_default PARTITION OF outbox DEFAULT;

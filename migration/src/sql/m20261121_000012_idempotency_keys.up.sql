-- The answers to requests that carried an Idempotency-Key, for when they are sent again.
CREATE TABLE idempotency_keys (
    org_id           uuid         NOT NULL,
    id               uuid         NOT NULL,
    principal_id     uuid         NOT NULL,
    route            text         NOT NULL,
    key              varchar(255) NOT NULL,
    fingerprint      bytea        NOT NULL,
    response_status  smallint     NOT NULL,
    response_headers jsonb        NOT NULL DEFAULT '{}',
    response_body    bytea        NOT NULL,
    created_at       timestamptz  NOT NULL DEFAULT now(),
    expires_at       timestamptz  NOT NULL,
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (org_id, id),
    CONSTRAINT idempotency_keys_org_id_fkey FOREIGN KEY (org_id) REFERENCES organizations (id),
    CONSTRAINT idempotency_keys_response_status_check CHECK (response_status BETWEEN 100 AND 599)
);
CREATE UNIQUE INDEX idempotency_keys_org_id_principal_id_route_key_key
    ON idempotency_keys (org_id, principal_id, route, key);
CREATE INDEX idempotency_keys_org_id_expires_at_idx ON idempotency_keys (org_id, expires_at);

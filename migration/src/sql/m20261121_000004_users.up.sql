-- role is the role in the organization and in the home team; roles in further teams are memberships.
CREATE TABLE users (
    org_id        uuid         NOT NULL,
    id            uuid         NOT NULL,
    email         varchar(255) NOT NULL,
    username      varchar(100) NOT NULL,
    full_name     varchar(255),
    avatar_url    varchar(500),
    password_hash varchar(255),
    is_active     boolean      NOT NULL DEFAULT true,
    is_verified   boolean      NOT NULL DEFAULT false,
    oidc_subject  varchar(255),
    oidc_provider varchar(100),
    team_id       uuid         NOT NULL,
    role          text         NOT NULL DEFAULT 'member',
    preferences   jsonb        NOT NULL DEFAULT '{}',
    created_at    timestamptz  NOT NULL DEFAULT now(),
    created_by    uuid,
    updated_at    timestamptz  NOT NULL DEFAULT now(),
    updated_by    uuid,
    deleted_at    timestamptz,
    deleted_by    uuid,
    version       bigint       NOT NULL DEFAULT 1,
    CONSTRAINT users_pkey PRIMARY KEY (org_id, id),
    CONSTRAINT users_org_id_fkey FOREIGN KEY (org_id) REFERENCES organizations (id),
    CONSTRAINT users_org_id_team_id_fkey FOREIGN KEY (org_id, team_id) REFERENCES teams (org_id, id),
    CONSTRAINT users_role_check CHECK (role IN ('admin', 'member', 'viewer')),
    -- Two spellings of one mailbox are one account.
    CONSTRAINT users_email_check CHECK (email = lower(email)),
    CONSTRAINT users_version_check CHECK (version >= 1)
);
CREATE UNIQUE INDEX users_org_id_email_key ON users (org_id, email) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX users_org_id_username_key ON users (org_id, lower(username))
    WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX users_org_id_oidc_subject_key ON users (org_id, oidc_provider, oidc_subject)
    WHERE deleted_at IS NULL AND oidc_subject IS NOT NULL;
CREATE INDEX users_org_id_created_at_idx ON users (org_id, created_at DESC, id DESC)
    WHERE deleted_at IS NULL;
CREATE INDEX users_org_id_team_id_idx ON users (org_id, team_id) WHERE deleted_at IS NULL;
-- Not led by org_id: at login the tenant is not known yet.
CREATE INDEX users_email_idx ON users (email) WHERE deleted_at IS NULL;
CREATE TRIGGER users_updated_at BEFORE UPDATE ON users
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();

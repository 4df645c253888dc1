-- The tenants. Exempt from org_id: id is the tenant.
CREATE TABLE organizations (
    id                 uuid         NOT NULL,
    name               varchar(255) NOT NULL,
    slug               varchar(100) NOT NULL,
    description        text,
    is_active          boolean      NOT NULL DEFAULT true,
    config_yaml        text,
    config_json        jsonb,
    config_version     varchar(50),
    settings           jsonb        NOT NULL DEFAULT '{}',
    max_teams          integer      NOT NULL DEFAULT 10,
    max_users_per_team integer      NOT NULL DEFAULT 50,
    created_at         timestamptz  NOT NULL DEFAULT now(),
    created_by         uuid,
    updated_at         timestamptz  NOT NULL DEFAULT now(),
    updated_by         uuid,
    deleted_at         timestamptz,
    deleted_by         uuid,
    version            bigint       NOT NULL DEFAULT 1,
    CONSTRAINT organizations_pkey PRIMARY KEY (id),
    CONSTRAINT organizations_slug_check CHECK (slug ~ '^[a-z0-9-]+$'),
    CONSTRAINT organizations_max_teams_check CHECK (max_teams >= 1),
    CONSTRAINT organizations_max_users_per_team_check CHECK (max_users_per_team >= 1),
    CONSTRAINT organizations_version_check CHECK (version >= 1)
);
-- The one key that is unique across tenants: a slug names a tenant in a URL.
CREATE UNIQUE INDEX organizations_slug_key ON organizations (slug) WHERE deleted_at IS NULL;
CREATE TRIGGER organizations_updated_at BEFORE UPDATE ON organizations
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();

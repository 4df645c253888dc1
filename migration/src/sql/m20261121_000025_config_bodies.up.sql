-- What somebody wrote is kept byte for byte, in the language they wrote it in; config_json is what it
-- says. A JSON Schema that the body must satisfy may stand beside it.
ALTER TABLE configs RENAME COLUMN config_yaml TO source;
ALTER TABLE configs
    ADD COLUMN source_format text NOT NULL DEFAULT 'json',
    ADD COLUMN body_schema jsonb,
    ADD CONSTRAINT configs_source_format_check CHECK (source_format IN ('json', 'yaml'));
-- The owner is walled in, too, and this is about all organizations.
ALTER TABLE configs NO FORCE ROW LEVEL SECURITY;
UPDATE configs SET source = config_json::text WHERE config_json IS NOT NULL OR source IS NULL;
UPDATE configs SET source_format = 'yaml' WHERE config_json IS NULL AND source IS NOT NULL;
UPDATE configs SET source = coalesce(source, '{}'),
    config_json = coalesce(config_json, '{}');
ALTER TABLE configs FORCE ROW LEVEL SECURITY;
ALTER TABLE configs
    ALTER COLUMN source SET NOT NULL,
    ALTER COLUMN config_json SET NOT NULL;

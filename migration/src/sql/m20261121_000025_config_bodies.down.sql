ALTER TABLE configs
    ALTER COLUMN source DROP NOT NULL,
    ALTER COLUMN config_json DROP NOT NULL,
    DROP CONSTRAINT configs_source_format_check,
    DROP COLUMN body_schema,
    DROP COLUMN source_format;
ALTER TABLE configs RENAME COLUMN source TO config_yaml;

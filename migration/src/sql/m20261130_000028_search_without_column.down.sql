-- Fails where a text is one that PostgreSQL's parser cannot take: shorten it first.
ALTER TABLE incidents ADD COLUMN search tsvector NOT NULL
    GENERATED ALWAYS AS (to_tsvector('simple', title || ' ' || coalesce(description, ''))) STORED;

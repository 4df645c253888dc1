-- The words of an incident, for search. 'simple' knows no language: incidents are written in many.
-- No index of its own: a list is of one team, and an operator that is not leakproof cannot use an
-- index past row-level security (PostgreSQL manual, section 5.9); stored, so that looking is cheap.
ALTER TABLE incidents ADD COLUMN search tsvector NOT NULL
    GENERATED ALWAYS AS (to_tsvector('simple', title || ' ' || coalesce(description, ''))) STORED;

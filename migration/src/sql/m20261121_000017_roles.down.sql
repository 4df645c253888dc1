-- The roles stay: they belong to the whole server, and another database may need them.
SELECT 1;

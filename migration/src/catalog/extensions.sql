-- Without versions: those come with the server.
SELECT quote_ident(extname) AS name, 'in schema ' || extnamespace::regnamespace AS definition
FROM pg_extension

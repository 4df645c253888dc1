-- Not those that views are made of.
SELECT label || '.' || quote_ident(rulename) AS name, concat_ws(', ',
    pg_get_ruledef(pg_rewrite.oid), CASE WHEN ev_enabled <> 'O' THEN 'not enabled' END) AS definition
FROM relations JOIN pg_rewrite ON ev_class = relations.oid WHERE rulename <> '_RETURN'

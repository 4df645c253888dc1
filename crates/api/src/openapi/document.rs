//! The API's document (OpenAPI 3.1), made of the route table and of what its handlers say.

use std::{collections::BTreeMap, sync::LazyLock};

use serde_json::{Map, Value, json};

use super::{
    example,
    operation::{Operation, Schemas},
};
use crate::{
    Code,
    problem::ProblemDocument,
    routes::{self, Route},
};

/// Returns the document. It is made once.
pub fn document() -> &'static Value {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(make);
    &DOCUMENT
}

/// What any request may meet, whatever it asks for.
const ALWAYS: &[Code] = &[Code::Internal, Code::Unavailable];

/// What whoever asks too much meets.
const LIMITED: &[Code] = &[Code::TooMany];

/// The groups of operations, in the order in which a reader meets them.
const TAGS: &[(&str, &str)] = &[
    ("auth", "Coming in: signing up, logging in, who am I."),
    ("authz", "What a caller may do."),
    ("organizations", "Tenants. A caller belongs to exactly one and sees no other."),
    ("teams", "Teams of an organization."),
    ("members", "Who is in a team, and as what."),
    ("users", "People. Each has a home team and a role in the organization."),
    ("incidents", "What went wrong, and how it goes on."),
    ("agent_configs", "How agents work for a team."),
    ("configs", "Hierarchical configurations, and what applies of them."),
    ("stats", "Measured values."),
    ("api_keys", "Keys for programs."),
    ("audit", "Who did what."),
    ("events", "What happened in the organization, in order, to follow along."),
    (
        "operations",
        "Long work on the whole database, for operators: asked for here, done by the backup worker.",
    ),
    ("backups", "Backups of the whole database, for operators."),
    ("health", "The service itself."),
    ("problem", "What problems mean."),
    ("docs", "This document."),
];

const DESCRIPTION: &str = "One trusted, multi-tenant place for organizations, teams, users, \
incidents, agent configurations, statistics and events.\n\n\
Errors are problem documents (RFC 9457): match on `code`; `/problems/{code}` explains each. \
Changes name the version they are made on: send the `ETag` that was read as `If-Match`. \
Lists are pages: follow `next_cursor`, or the `Link` header. What belongs to another organization \
does not exist: 404.";

fn make() -> Value {
    let mut schemas = Schemas::new();
    schemas.of_output.subschema_for::<ProblemDocument<'_>>();
    let routes = routes::table();
    let mut failures = BTreeMap::new();
    let mut operations: Vec<(&Route, Value)> = routes
        .iter()
        .map(|route| (route, operation(route, &routes, &mut schemas, &mut failures)))
        .collect();

    let mut components: Map<String, Value> = schemas.of_input.take_definitions(true);
    components.extend(schemas.of_output.take_definitions(true));
    let components = Value::Object(components);
    for (route, operation) in &mut operations {
        illustrate(operation, &components);
        if is_second(route, &routes) {
            pass_over_unknown_fields(operation, &components);
        }
    }

    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for (route, operation) in operations {
        let method = route.method.as_str().to_lowercase();
        paths.entry(route.path).or_default().insert(method, operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Brownie Metadata Database",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": { "name": "MIT", "identifier": "MIT" },
        },
        "servers": [{ "url": "/" }],
        "tags": TAGS
            .iter()
            .map(|(name, description)| json!({ "name": name, "description": description }))
            .collect::<Vec<_>>(),
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": failures,
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The `access_token` that POST /api/v1/auth/login answers, or an API key; without the word Bearer.",
                },
                "x_api_key": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-API-Key",
                    "description": "An API key of POST /api/v1/api-keys.",
                },
                "operator": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of somebody who operates the installation, of METADATA_OPERATOR_TOKENS_FILE.",
                },
            },
        },
    })
}

/// Returns the operation's id: `incidents_list` for `incidents::list`. PUT does what PATCH does.
fn operation_id(route: &Route, routes: &[Route]) -> String {
    let id = route.name.replace("::", "_");
    let is_alias = routes
        .iter()
        .take_while(|other| !std::ptr::eq(*other, route))
        .any(|other| other.name == route.name && other.path != route.path);
    match (is_second(route, routes), is_alias) {
        (true, _) => format!("{id}_put"),
        (_, true) => {
            format!("{id}_{}", route.path.trim_start_matches('/').replace(['/', '.', '-'], "_"))
        }
        _ => id,
    }
}

/// Tells whether it is the PUT beside a PATCH.
fn is_second(route: &Route, routes: &[Route]) -> bool {
    let same = |other: &&Route| other.name == route.name && other.path == route.path;
    routes.iter().filter(same).count() > 1 && route.method.as_str() == "PUT"
}

/// Describes one operation. What it may fail with is written into `failures`, once for all operations
/// that share it.
fn operation(
    route: &Route,
    routes: &[Route],
    schemas: &mut Schemas,
    failures: &mut BTreeMap<String, Value>,
) -> Value {
    let mut told = Operation::new(schemas);
    (route.describe)(&mut told);
    told.may_fail(ALWAYS.iter().chain(route.problems).copied());
    if !crate::limits::UNLIMITED.contains(&route.path) {
        told.may_fail(LIMITED.iter().copied());
    }
    let mut parameters = path_parameters(route.path);
    parameters.append(&mut told.parameters);
    if route.path.contains('{') {
        told.may_fail([Code::NotFound]);
    }

    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in &told.problems {
        by_status.entry(code.status().as_u16()).or_default().push(*code);
    }
    let mut answers: BTreeMap<String, Value> =
        told.answers.iter().map(|(status, answer)| (status.to_string(), answer.clone())).collect();
    for (status, codes) in by_status {
        answers.entry(status.to_string()).or_insert_with(|| {
            let name = codes.iter().map(|code| code.as_str()).collect::<Vec<_>>().join(".");
            let reference = json!({ "$ref": format!("#/components/responses/{name}") });
            failures.entry(name).or_insert_with(|| problem(&codes));
            reference
        });
    }

    let module = route.name.split("::").next().unwrap_or_default();
    // What a module splits off is of the same group: incidents_bulk, stats_summary.
    let of_group = |(tag, _): &&(&str, &str)| {
        module.strip_prefix(*tag).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    };
    let tag = TAGS.iter().find(of_group).map_or(module, |(tag, _)| *tag);
    let mut operation = json!({
        "operationId": operation_id(route, routes),
        "tags": [tag],
        "summary": route.summary,
        "parameters": parameters,
        "responses": answers,
    });
    if let Some(body) = told.request_body {
        operation["requestBody"] = body;
    }
    if let Some(action) = told.action {
        operation["security"] = json!([{ "bearer": [] }, { "x_api_key": [] }]);
        let reach = match action.reach() {
            brownie_domain::Reach::Organization => "organization",
            brownie_domain::Reach::Team => "team",
        };
        let mut description = format!(
            "Takes the permission `{action}`: the role {} or more in the {reach}.",
            action.least_role()
        );
        if is_second(route, routes) {
            description.push_str(" Does what PATCH does, and passes over fields that it does not know: what was read may be sent back.");
        }
        operation["description"] = description.into();
    } else if told.operators_only {
        operation["security"] = json!([{ "operator": [] }]);
        operation["description"] =
            "For those who operate the installation: by an operator's token, or certificate."
                .into();
    } else {
        operation["security"] = json!([]);
        operation["description"] = "Takes no credentials.".into();
    }
    operation
}

/// Says that a body may have fields besides those that are known, as PUT's may and PATCH's may not.
fn pass_over_unknown_fields(operation: &mut Value, components: &Value) {
    let schema = &mut operation["requestBody"]["content"]["application/json"]["schema"];
    let name = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next());
    let Some(mut open) = name.and_then(|name| components.get(name)).cloned() else { return };
    if let Some(fields) = open.as_object_mut() {
        fields.remove("additionalProperties");
    }
    *schema = open;
}

/// Names the parameters of a path's template.
fn path_parameters(path: &str) -> Vec<Value> {
    path.split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| {
            let (schema, description) = match name.strip_suffix("_id") {
                Some(of) => (
                    json!({ "type": "string", "format": "uuid" }),
                    format!(
                        "The id of the {}.",
                        of.replace("org", "organization").replace('_', " ")
                    ),
                ),
                None => (json!({ "type": "string", "minLength": 1 }), format!("Which {name}.")),
            };
            json!({
                "in": "path",
                "name": name,
                "required": true,
                "description": description,
                "schema": schema,
            })
        })
        .collect()
}

fn problem(codes: &[Code]) -> Value {
    let meanings: Vec<String> =
        codes.iter().map(|code| format!("`{}`: {}", code.as_str(), code.meaning())).collect();
    let mut answer = json!({
        "description": meanings.join("\n\n"),
        "content": { crate::problem::MEDIA_TYPE: {
            "schema": { "$ref": "#/components/schemas/Problem" },
        } },
    });
    if let Some(code) = codes.first() {
        answer["content"][crate::problem::MEDIA_TYPE]["example"] = json!({
            "type": format!("/problems/{}", code.as_str()),
            "title": code.title(),
            "status": code.status().as_u16(),
            "detail": code.meaning(),
            "code": code.as_str(),
            "request_id": "019aa5d3-7c00-7b1e-9c5e-3f4f8a1d2b6c",
        });
    }
    answer
}

/// Gives every body of an operation its example.
fn illustrate(operation: &mut Value, components: &Value) {
    let fill = |content: &mut Value, comes_in: bool| {
        for (_, body) in content.as_object_mut().into_iter().flatten() {
            if body.get("example").is_none() && body["schema"].is_object() {
                let line = &body["schema"]["contentSchema"];
                body["example"] = if line.is_object() {
                    let line = example::of(line, components, comes_in);
                    format!("{line}\n{line}\n").into()
                } else {
                    example::of(&body["schema"], components, comes_in)
                };
            }
        }
    };
    if let Some(body) = operation.get_mut("requestBody") {
        fill(&mut body["content"], true);
    }
    for (_, answer) in operation["responses"].as_object_mut().into_iter().flatten() {
        if let Some(content) = answer.get_mut("content") {
            fill(content, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn operations() -> impl Iterator<Item = (String, &'static Value)> {
        document()["paths"].as_object().unwrap().iter().flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().iter();
            methods.map(move |(method, operation)| (format!("{method} {path}"), operation))
        })
    }

    #[test]
    fn the_table_says_of_permissions_what_the_signatures_say() {
        for route in routes::table() {
            let mut schemas = Schemas::new();
            let mut told = Operation::new(&mut schemas);
            (route.describe)(&mut told);
            assert_eq!(told.action, route.action, "{route:?}");
            assert_eq!(told.operators_only, route.operators_only, "{route:?}");
        }
    }

    #[test]
    fn every_operation_has_its_own_id_and_a_known_tag() {
        let mut ids = BTreeSet::new();
        for (name, operation) in operations() {
            assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{name}");
            let tag = operation["tags"][0].as_str().unwrap();
            assert!(TAGS.iter().any(|(known, _)| *known == tag), "{name}: {tag}");
        }
    }

    #[test]
    fn every_operation_and_parameter_is_described() {
        let mut summaries = BTreeSet::new();
        for (name, operation) in operations() {
            assert!(
                operation["description"].as_str().is_some_and(|text| !text.is_empty()),
                "{name}"
            );
            assert!(
                summaries.insert(operation["summary"].as_str().unwrap()),
                "{name}: same summary"
            );
            for parameter in operation["parameters"].as_array().unwrap() {
                let description = parameter["description"].as_str();
                assert!(description.is_some_and(|text| !text.is_empty()), "{name}: {parameter}");
            }
        }
    }

    #[test]
    fn every_json_body_has_an_example() {
        for (name, operation) in operations() {
            let bodies = operation["responses"].as_object().unwrap().values();
            for body in bodies.chain(operation.get("requestBody")) {
                for (media_type, content) in body["content"].as_object().into_iter().flatten() {
                    let example = &content["example"];
                    assert!(!example.is_null() && *example != json!({}), "{name}: {media_type}");
                }
            }
        }
    }

    #[test]
    fn a_schema_says_the_same_wherever_it_is_used() {
        let mut schemas = Schemas::new();
        for route in routes::table() {
            (route.describe)(&mut Operation::new(&mut schemas));
        }
        let (of_input, of_output) =
            (schemas.of_input.take_definitions(true), schemas.of_output.take_definitions(true));
        for (name, schema) in &of_input {
            let same = of_output.get(name).is_none_or(|other| other == schema);
            assert!(same, "{name}: name the two differently");
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn walk<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
            match value {
                Value::Object(members) => {
                    found.extend(members.get("$ref").and_then(Value::as_str));
                    members.values().for_each(|value| walk(value, found));
                }
                Value::Array(items) => items.iter().for_each(|value| walk(value, found)),
                _ => {}
            }
        }
        let mut found = Vec::new();
        walk(document(), &mut found);
        assert!(found.len() > 100);
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document().pointer(pointer).is_some(), "{reference}");
        }
    }
}

//! What one operation takes and answers, told by the types in its handler's signature.
//!
//! A handler is a function of extractors that returns an answer; each of these types says here what
//! it adds to the document. So a handler cannot take a body, ask for a permission or answer with an
//! `ETag` that the document does not know of.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::{HttpRequest, web};
use brownie_domain::Action;
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Value, json};

use crate::{
    Code, Problem,
    access::{InTeam, Item, Operator, Org, Permission},
    answer::{Created, Deleted, Made, Message, One, PageOf, Plain, Stored},
    body::{Body, IfMatch, Path},
    query::Query,
};

/// The schemas that operations refer to: of what comes in and of what goes out, which may differ in
/// what they require.
#[derive(Debug)]
pub(crate) struct Schemas {
    pub(crate) of_input: SchemaGenerator,
    pub(crate) of_output: SchemaGenerator,
}

impl Schemas {
    pub(crate) fn new() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = "/components/schemas".into();
                settings.meta_schema = None;
            })
        };
        Self {
            of_input: settings().for_deserialize().into_generator(),
            of_output: settings().for_serialize().into_generator(),
        }
    }
}

/// One operation, as its types have told it so far.
#[derive(Debug)]
pub(crate) struct Operation<'a> {
    pub(crate) schemas: &'a mut Schemas,
    /// What a caller must be permitted.
    pub(crate) action: Option<Action>,
    /// Whether the caller must be an operator.
    pub(crate) operators_only: bool,
    pub(crate) parameters: Vec<Value>,
    pub(crate) request_body: Option<Value>,
    /// Answers that are no problems, by status.
    pub(crate) answers: BTreeMap<u16, Value>,
    pub(crate) problems: BTreeSet<Code>,
}

impl<'a> Operation<'a> {
    pub(crate) fn new(schemas: &'a mut Schemas) -> Self {
        Self {
            schemas,
            action: None,
            operators_only: false,
            parameters: Vec::new(),
            request_body: None,
            answers: BTreeMap::new(),
            problems: BTreeSet::new(),
        }
    }

    /// It may be answered with these.
    pub(crate) fn may_fail(&mut self, codes: impl IntoIterator<Item = Code>) {
        self.problems.extend(codes);
    }

    fn takes_permission(&mut self, action: Action) {
        self.action = Some(action);
        self.may_fail([Code::Unauthenticated, Code::Forbidden]);
    }

    /// It is answered with JSON of type `T`.
    pub(crate) fn answers<T: JsonSchema>(
        &mut self,
        status: u16,
        description: &str,
        headers: &[(&str, &str)],
    ) {
        let schema = self.schemas.of_output.subschema_for::<T>();
        self.answers_with(
            status,
            description,
            headers,
            Some(("application/json", schema.to_value())),
        );
    }

    /// It is answered with a body of a media type, or with none.
    pub(crate) fn answers_with(
        &mut self,
        status: u16,
        description: &str,
        headers: &[(&str, &str)],
        body: Option<(&str, Value)>,
    ) {
        let mut answer = json!({ "description": description });
        if !headers.is_empty() {
            let headers: serde_json::Map<String, Value> = headers
                .iter()
                .map(|(name, description)| {
                    let header =
                        json!({ "description": description, "schema": { "type": "string" } });
                    ((*name).to_owned(), header)
                })
                .collect();
            answer["headers"] = headers.into();
        }
        if let Some((media_type, schema)) = body {
            answer["content"] = json!({ media_type: { "schema": schema } });
        }
        self.answers.insert(status, answer);
    }

    /// One of its answers has another form, too.
    pub(crate) fn answers_also(&mut self, status: u16, media_type: &str, schema: &Value) {
        if let Some(answer) = self.answers.get_mut(&status) {
            answer["content"][media_type] = json!({ "schema": schema });
        }
    }

    /// It takes a body of a media type.
    pub(crate) fn takes_body(&mut self, media_type: &str, schema: &Value) {
        self.request_body =
            Some(json!({ "required": true, "content": { media_type: { "schema": schema } } }));
    }

    /// It takes a parameter.
    pub(crate) fn takes(
        &mut self,
        place: &str,
        name: &str,
        required: bool,
        description: &str,
        schema: &Value,
    ) {
        let mut parameter = json!({
            "in": place,
            "name": name,
            "required": required,
            "description": description,
            "schema": schema,
        });
        // What a page for trying out fills in. Of what may be left out, that would change the answer.
        if let Some(example) = schema["examples"].get(0).filter(|_| required) {
            parameter["example"] = example.clone();
        }
        self.parameters.push(parameter);
    }
}

/// A type in a handler's signature.
pub(crate) trait Describe {
    /// Says what it adds to an operation.
    fn describe(operation: &mut Operation<'_>);
}

/// A handler: a function of things that can be described.
pub(crate) trait Handler<Arguments> {
    /// Says what it takes and answers.
    fn describe(operation: &mut Operation<'_>);
}

macro_rules! handlers {
    ($(($($argument:ident)*))+) => {$(
        impl<Function, Future, Answer, $($argument),*> Handler<($($argument,)*)> for Function
        where
            Function: Fn($($argument),*) -> Future,
            Future: std::future::Future<Output = Answer>,
            Answer: Describe,
            $($argument: Describe,)*
        {
            fn describe(operation: &mut Operation<'_>) {
                $($argument::describe(operation);)*
                Answer::describe(operation);
            }
        }
    )+};
}
handlers! { () (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) }

/// Describes a handler by its name.
pub(crate) fn describe<H: Handler<A>, A>(_: H, operation: &mut Operation<'_>) {
    H::describe(operation);
}

impl Describe for HttpRequest {
    fn describe(_: &mut Operation<'_>) {}
}

impl<T> Describe for web::Data<T> {
    fn describe(_: &mut Operation<'_>) {}
}

impl Describe for Operator {
    fn describe(operation: &mut Operation<'_>) {
        operation.operators_only = true;
        operation.may_fail([Code::Unauthenticated, Code::Forbidden]);
    }
}

impl<P: Permission> Describe for Org<P> {
    fn describe(operation: &mut Operation<'_>) {
        operation.takes_permission(P::ACTION);
    }
}

impl<P: Permission> Describe for InTeam<P> {
    fn describe(operation: &mut Operation<'_>) {
        operation.takes_permission(P::ACTION);
        operation.may_fail([Code::NotFound]);
    }
}

impl<P: Permission> Describe for Item<P> {
    fn describe(operation: &mut Operation<'_>) {
        operation.takes_permission(P::ACTION);
        operation.may_fail([Code::NotFound]);
    }
}

impl<T: JsonSchema> Describe for Body<T> {
    fn describe(operation: &mut Operation<'_>) {
        let schema = operation.schemas.of_input.subschema_for::<T>();
        operation.takes_body("application/json", &schema.to_value());
        operation.may_fail([
            Code::Malformed,
            Code::TooSlow,
            Code::TooLarge,
            Code::UnsupportedMediaType,
            Code::Invalid,
        ]);
    }
}

/// Each field of the query's type is a parameter.
impl<T: JsonSchema> Describe for Query<T> {
    fn describe(operation: &mut Operation<'_>) {
        let schema = T::json_schema(&mut operation.schemas.of_input).to_value();
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let mut field = field.clone();
            let description = field["description"].as_str().unwrap_or_default().to_owned();
            if let Some(members) = field.as_object_mut() {
                members.remove("description");
            }
            let required = required.iter().any(|required| required == name);
            operation.takes("query", name, required, &description, &not_null(field));
        }
        operation.may_fail([Code::Malformed, Code::Invalid]);
        if schema["properties"]["cursor"].is_object() {
            operation.may_fail([Code::InvalidCursor]);
        }
    }
}

/// A parameter that is left out is not there; no text of a query means null.
fn not_null(mut schema: Value) -> Value {
    if let Some(kinds) = schema["type"].as_array() {
        let kind = kinds.iter().find(|kind| *kind != "null").cloned();
        schema["type"] = kind.unwrap_or_default();
    }
    if let Some(some) = schema["anyOf"].as_array().and_then(|any| any.first()).cloned() {
        return some;
    }
    if let Some(members) = schema.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    schema
}

/// The path's own template names its parameters.
impl<T> Describe for Path<T> {
    fn describe(operation: &mut Operation<'_>) {
        operation.may_fail([Code::NotFound]);
    }
}

impl Describe for IfMatch {
    fn describe(operation: &mut Operation<'_>) {
        let schema = json!({ "type": "string", "pattern": "^\"v[1-9][0-9]{0,17}\"$", "examples": ["\"v1\""] });
        operation.takes(
            "header",
            "If-Match",
            true,
            "The ETag of what is changed, as it was read.",
            &schema,
        );
        operation.may_fail([Code::Malformed, Code::Stale, Code::PreconditionRequired]);
    }
}

impl<T: Describe> Describe for Result<T, Problem> {
    fn describe(operation: &mut Operation<'_>) {
        T::describe(operation);
    }
}

const ETAG: (&str, &str) = ("ETag", "The version, to be sent as If-Match with a change.");
const LOCATION: (&str, &str) = ("Location", "Where it is.");

impl<V: JsonSchema> Describe for One<V> {
    fn describe(operation: &mut Operation<'_>) {
        operation.answers::<V>(200, "As it stands.", &[ETAG]);
    }
}

impl<V: JsonSchema> Describe for Created<V> {
    fn describe(operation: &mut Operation<'_>) {
        operation.answers::<V>(201, "It is created.", &[ETAG, LOCATION]);
    }
}

impl<V: JsonSchema> Describe for Stored<V> {
    fn describe(operation: &mut Operation<'_>) {
        Created::<V>::describe(operation);
        operation.answers::<V>(200, "It was there before.", &[ETAG]);
    }
}

impl<V: JsonSchema> Describe for Made<V> {
    fn describe(operation: &mut Operation<'_>) {
        operation.answers::<V>(201, "It is made.", &[]);
    }
}

impl<V: JsonSchema> Describe for Plain<V> {
    fn describe(operation: &mut Operation<'_>) {
        operation.answers::<V>(200, "As it stands.", &[]);
    }
}

impl Describe for Deleted {
    fn describe(operation: &mut Operation<'_>) {
        let restore = ("ETag", "The version to restore it at, if it can be.");
        operation.answers::<Message>(200, "It is deleted.", &[restore]);
    }
}

impl<V: JsonSchema> Describe for PageOf<V> {
    fn describe(operation: &mut Operation<'_>) {
        let link = ("Link", "Leads to the next page, with rel=\"next\" (RFC 8288).");
        operation.answers::<PageOf<V>>(200, "A page, the newest first.", &[link]);
    }
}

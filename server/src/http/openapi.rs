//! The OpenAPI document of a table of routes. It is made from the rows that answer requests, so
//! that a route cannot be missing in it, nor stand in it under another role or limit.

use std::collections::BTreeMap;

use lazaret_protocol::refusal::Refusal;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::security::{SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder, PathItem, PathsBuilder, Ref, RefOr,
    Required, ResponseBuilder, ResponsesBuilder,
};

use super::route::{Gives, Handler, Method, Route, Takes};
use super::router::Table;

/// Schemas by name.
pub(crate) type Schemas = BTreeMap<String, RefOr<Schema>>;

/// A schema, or the name of one.
pub(crate) type Shape = RefOr<Schema>;

/// That the server answers.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// Always.
    pub(crate) ok: bool,
}

/// Describes a message of the interface.
pub(crate) fn describe<T: ToSchema>(schemas: &mut Schemas) -> Shape {
    let mut mentioned = Vec::new();
    T::schemas(&mut mentioned);
    schemas.extend(mentioned);
    let name = T::name().into_owned();
    schemas.insert(name.clone(), T::schema());
    RefOr::Ref(Ref::from_schema_name(name))
}

/// Describes a page of `T`.
pub(crate) fn page_of<T: ToSchema>(schemas: &mut Schemas) -> Shape {
    let item = describe::<T>(schemas);
    let name = format!("PageOf{}", T::name());
    let next = ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .description(Some("What to pass as `after` for the next page, null at the end."));
    let page = ObjectBuilder::new()
        .property("items", ArrayBuilder::new().items(item))
        .required("items")
        .property("next", next)
        .required("next");
    schemas.insert(name.clone(), RefOr::T(Schema::Object(page.build())));
    RefOr::Ref(Ref::from_schema_name(name))
}

/// Describes JSON whose form somebody else defines, such as TUF metadata.
pub(crate) fn anything(_: &mut Schemas) -> Shape {
    RefOr::T(Schema::Object(ObjectBuilder::new().schema_type(SchemaType::AnyValue).build()))
}

/// The document of a table.
pub(crate) fn document(table: Table) -> OpenApi {
    let mut schemas = Schemas::new();
    let refusal = describe::<Refusal>(&mut schemas);
    let mut paths = BTreeMap::<String, PathItem>::new();
    for route in table.iter().copied().flatten() {
        let item = PathItem::new(method(route.method), operation(route, &refusal, &mut schemas));
        paths.entry(path(route)).or_default().merge_operations(item);
    }
    let mut all = PathsBuilder::new();
    for (path, item) in paths {
        all = all.path(path, item);
    }
    let about = "Mutual TLS 1.3 with a certificate of the operators' CA; its organisational units \
                 are the roles, which `x-roles` of each operation lists. Every answer that is not \
                 a success carries a Refusal, whose codes are in docs/ERRORS.md. Readers ignore \
                 fields that they do not know.";
    let info = InfoBuilder::new()
        .title("Lazaret, the operators' interface")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(about));
    let certificate = SecurityScheme::MutualTls {
        description: Some("A certificate of the operators' CA".to_owned()),
        extensions: None,
    };
    let components = ComponentsBuilder::new()
        .schemas_from_iter(schemas)
        .security_scheme("certificate", certificate)
        .build();
    OpenApiBuilder::new()
        .info(info.build())
        .paths(all.build())
        .components(Some(components))
        .security(Some([SecurityRequirement::new::<_, [&str; 0], &str>("certificate", [])]))
        .build()
}

/// The path as OpenAPI writes it: a placeholder for the rest is an ordinary one there.
fn path(route: &Route) -> String {
    route.path.replace("..}", "}")
}

const fn method(method: Method) -> HttpMethod {
    match method {
        Method::Get => HttpMethod::Get,
        Method::Post => HttpMethod::Post,
        Method::Put => HttpMethod::Put,
    }
}

fn operation(route: &Route, refusal: &Shape, schemas: &mut Schemas) -> OperationBuilder {
    let mut operation = OperationBuilder::new()
        .summary(Some(route.summary))
        .operation_id(Some(operation_id(route)))
        .extensions(Some(roles(route)));
    for name in placeholders(route.path) {
        operation = operation.parameter(
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Path)
                .required(Required::True)
                .schema(Some(text())),
        );
    }
    for (name, what) in route.query {
        operation = operation.parameter(
            ParameterBuilder::new()
                .name(*name)
                .parameter_in(ParameterIn::Query)
                .required(Required::False)
                .description(Some(*what))
                .schema(Some(text())),
        );
    }
    let content = |shape: Shape| ContentBuilder::new().schema(Some(shape)).build();
    if route.takes != Takes::Nothing {
        let (kind, shape) = match route.request {
            Some(describe) => ("application/json", describe(schemas)),
            None => ("application/octet-stream", RefOr::T(text())),
        };
        let about = format!("At most {} bytes", route.body_bytes_max());
        let body = RequestBodyBuilder::new()
            .description(Some(about))
            .content(kind, content(shape))
            .required(Some(Required::True));
        operation = operation.request_body(Some(body.build()));
    }
    let (kind, shape) = match (route.gives, route.reply) {
        (Gives::Json, Some(describe)) => ("application/json", describe(schemas)),
        (Gives::Json, None) => ("application/json", anything(schemas)),
        (Gives::Raw, _) => ("application/octet-stream", RefOr::T(text())),
        (Gives::Stream, _) => ("text/event-stream", RefOr::T(text())),
    };
    let done = ResponseBuilder::new().description("Done").content(kind, content(shape));
    let refused = ResponseBuilder::new()
        .description("Refused, or the server cannot at the moment")
        .content("application/json", content(refusal.clone()));
    let responses = ResponsesBuilder::new().response("200", done).response("default", refused);
    operation.responses(responses.build())
}

/// The method and the words of the path: `get-devices-device`.
fn operation_id(route: &Route) -> String {
    let words = route.path.split(['/', '{', '}', '.']).filter(|word| !word.is_empty()).skip(1);
    let method = route.method.as_str().to_ascii_lowercase();
    std::iter::once(method.as_str()).chain(words).collect::<Vec<_>>().join("-")
}

fn roles(route: &Route) -> utoipa::openapi::extensions::Extensions {
    let roles = match route.handler {
        Handler::Operator(&[], _) => vec!["any"],
        Handler::Operator(roles, _) => roles.iter().map(|role| role.as_str()).collect(),
        Handler::Device(..) => vec!["device"],
        Handler::Open(_) => vec!["nobody"],
    };
    utoipa::openapi::extensions::Extensions::builder().add("x-roles", roles).build()
}

fn placeholders(path: &str) -> impl Iterator<Item = &str> {
    let inner = |segment: &'_ str| -> Option<std::ops::Range<usize>> {
        (segment.starts_with('{') && segment.ends_with('}')).then(|| 1..segment.len() - 1)
    };
    path.split('/').filter_map(move |segment| {
        let name = segment.get(inner(segment)?)?;
        Some(name.strip_suffix("..").unwrap_or(name))
    })
}

fn text() -> Schema {
    Schema::Object(ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)).build())
}

#[cfg(test)]
mod tests;

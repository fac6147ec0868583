//! Schemas of the types that travel as one text or one number, for the OpenAPI document. The
//! messages derive theirs; nothing here says what is accepted, only how it is described.

use alloc::vec::Vec;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::attested::Octets;
use crate::digest::Sha256Digest;
use crate::id::{
    BundleId, DeviceId, IncidentId, ModelName, OperatorName, ProfileName, RolloutId, SerialNumber,
    VersionName,
};
use crate::key::KeyId;
use crate::operator::Endorsement;
use crate::signed::{Envelope, EnvelopeSignature};
use crate::sshsig::SshKey;
use crate::time::Timestamp;

fn text(pattern: &str, about: &str) -> RefOr<Schema> {
    let text = ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::String))
        .pattern(Some(pattern))
        .description(Some(about));
    RefOr::T(Schema::Object(text.build()))
}

macro_rules! texts {
    ($($name:ident = $pattern:literal, $about:literal;)*) => {$(
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                text($pattern, $about)
            }
        }
        impl ToSchema for $name {}
    )*};
}

texts! {
    DeviceId = "^[a-z0-9][a-z0-9._-]{0,63}$", "One enrolled machine";
    ModelName = "^[a-z0-9][a-z0-9._-]{0,63}$", "A hardware model";
    VersionName = "^[a-z0-9][a-z0-9._-]{0,63}$", "The version of a release";
    SerialNumber = "^[a-z0-9][a-z0-9._-]{0,63}$", "What is printed on the machine";
    IncidentId = "^[a-z0-9][a-z0-9._-]{0,63}$", "Something that got in, or may have";
    RolloutId = "^[a-z0-9][a-z0-9._-]{0,63}$", "A staged deployment";
    BundleId = "^[a-z0-9][a-z0-9._-]{0,63}$", "A collection of evidence";
    ProfileName = "^[a-z0-9][a-z0-9._-]{0,63}$", "What a bundle is to hold";
    OperatorName = "^[a-z0-9][a-z0-9._-]{0,63}$", "A person who may act on the server";
    Sha256Digest = "^[0-9a-f]{64}$", "A SHA-256 digest";
    SshKey = "^[a-z0-9@.-]+ [A-Za-z0-9+/]+=*", "An SSH public key in one line";
    Octets = "^[A-Za-z0-9+/]*=*$", "Bytes, in base64";
    Endorsement = "^([0-9a-f]{64}|certificate)$", "How a machine's TPM is known";
    KeyId = "^[0-9a-f]{64}$", "The SHA-256 of a key's canonical JSON";
}

impl PartialSchema for Timestamp {
    fn schema() -> RefOr<Schema> {
        let number = ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::Integer))
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
            .minimum(Some(0))
            .description(Some("Milliseconds since 1970-01-01T00:00:00Z"));
        RefOr::T(Schema::Object(number.build()))
    }
}

impl ToSchema for Timestamp {}

fn base64() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::String))
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Byte)))
}

impl PartialSchema for EnvelopeSignature {
    fn schema() -> RefOr<Schema> {
        let signature = ObjectBuilder::new()
            .property("keyid", KeyId::schema())
            .required("keyid")
            .property("sig", base64())
            .required("sig");
        RefOr::T(Schema::Object(signature.build()))
    }
}

impl ToSchema for EnvelopeSignature {}

impl PartialSchema for Envelope {
    fn schema() -> RefOr<Schema> {
        let kind = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String));
        let signatures =
            utoipa::openapi::schema::ArrayBuilder::new().items(EnvelopeSignature::schema());
        let envelope = ObjectBuilder::new()
            .description(Some("A DSSE envelope"))
            .property("payloadType", kind)
            .required("payloadType")
            .property("payload", base64())
            .required("payload")
            .property("signatures", signatures)
            .required("signatures");
        RefOr::T(Schema::Object(envelope.build()))
    }
}

impl ToSchema for Envelope {
    fn schemas(_: &mut Vec<(alloc::string::String, RefOr<Schema>)>) {}
}

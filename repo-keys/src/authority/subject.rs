//! Subjects with several values of one attribute. rcgen keeps one value per attribute type, and an
//! operator has one organisational unit per role; so the subject of a certificate that rcgen made
//! is replaced and the certificate signed again. Everything else in it stays as rcgen wrote it.

use pkcs8::der::asn1::{Any, BitString, ObjectIdentifier, SetOfVec, Utf8StringRef};
use pkcs8::der::{Decode as _, Encode as _, Tagged as _};
use rcgen::{Certificate, KeyPair, SigningKey as _};

use super::AuthorityError;

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const ORGANIZATIONAL_UNIT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.11");

/// Where the subject stands in TBSCertificate (RFC 5280 4.1): version, serialNumber, signature,
/// issuer, validity, subject.
const SUBJECT_INDEX: usize = 5;

/// The certificate again, its subject replaced by a common name and organisational units, in PEM.
pub(super) fn rewrite(
    certificate: &Certificate,
    subject: (&str, &[&str]),
    issuer_key: &KeyPair,
) -> Result<String, AuthorityError> {
    let encode = || -> pkcs8::der::Result<(Vec<u8>, Any)> {
        let [tbs, algorithm, _signature] = parts(certificate.der())?;
        let mut fields = Vec::<Any>::from_der(&tbs.to_der()?)?;
        if let Some(field) = fields.get_mut(SUBJECT_INDEX) {
            *field = Any::from_der(&name(subject.0, subject.1)?)?;
        }
        Ok((fields.to_der()?, algorithm))
    };
    let (tbs, algorithm) = encode().map_err(|_| AuthorityError::Encoding)?;
    let signature = issuer_key.sign(&tbs)?;
    let assemble = || -> pkcs8::der::Result<Vec<u8>> {
        let signature = BitString::from_bytes(&signature)?;
        vec![Any::from_der(&tbs)?, algorithm, Any::encode_from(&signature)?].to_der()
    };
    let der = assemble().map_err(|_| AuthorityError::Encoding)?;
    pkcs8::der::pem::encode_string("CERTIFICATE", pkcs8::LineEnding::LF, &der)
        .map_err(|_| AuthorityError::Encoding)
}

fn parts(der: &[u8]) -> pkcs8::der::Result<[Any; 3]> {
    let parts = Vec::<Any>::from_der(der)?;
    parts.try_into().map_err(|parts: Vec<Any>| {
        let tag = parts.first().map_or(pkcs8::der::Tag::Sequence, Any::tag);
        tag.value_error().into()
    })
}

/// A Name: one RDN per value (RFC 5280 4.1.2.4).
fn name(common_name: &str, units: &[&str]) -> pkcs8::der::Result<Vec<u8>> {
    let units = units.iter().map(|unit| (ORGANIZATIONAL_UNIT, *unit));
    let mut rdns = Vec::new();
    for (oid, value) in [(COMMON_NAME, common_name)].into_iter().chain(units) {
        let value = Any::encode_from(&Utf8StringRef::new(value)?)?;
        let attribute = vec![Any::encode_from(&oid)?, value];
        let mut rdn = SetOfVec::new();
        rdn.insert(Any::from_der(&attribute.to_der()?)?)?;
        rdns.push(rdn);
    }
    rdns.to_der()
}

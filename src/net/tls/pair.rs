//! A certificate and its key, which we present to clients or servers.

use super::explain::sentence;
use super::pem::{certificates_in, key_in};
use super::x509::Certificate;
use super::{PairError, lean};
use rustls::sign::CertifiedKey;
use rustls::{Error, SignatureAlgorithm};
use std::sync::Arc;

/// A certificate, with those of its issuers, and its key. Equal only to clones of itself.
#[derive(Clone, Debug)]
pub struct Pair(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    key: Arc<CertifiedKey>,
    names: Vec<String>,
    valid: [u64; 2],
    is_alone: bool,
}

impl PartialEq for Pair {
    fn eq(&self, other: &Pair) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Pair {}

impl Pair {
    /// Reads two PEM files: the certificate, followed by those of its issuers, and the key. Does
    /// not check whether it is valid now.
    ///
    /// # Errors
    /// If one of them cannot be used, or if they do not match.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the library may have more at any time")]
    pub fn new([certificate, key]: [&[u8]; 2]) -> Result<Pair, PairError> {
        let chain = certificates_in(certificate).map_err(PairError::Certificate)?;
        let mut links = Vec::new();
        for (n, der) in (1..).zip(&chain) {
            let wrong = || PairError::Certificate(format!("certificate {n} in it cannot be read"));
            links.push(Certificate::read(der).ok_or_else(wrong)?);
        }
        let key = key_in(key).map_err(PairError::Key)?;
        let (is_alone, out_of_order) = (links.len() == 1, first_out_of_order(&links));
        let Certificate { issuer, subject, valid, names } = links.swap_remove(0);
        let is_alone = is_alone && issuer != subject;
        let certified = CertifiedKey::from_der(chain, key, &lean::provider());
        let key = certified.map_err(|error| match error {
            Error::InconsistentKeys(_) => {
                PairError::Key("it is not the key of the certificate".to_owned())
            }
            Error::InvalidCertificate(_) => PairError::Certificate(sentence(&error)),
            _ => PairError::Key(sentence(&error)),
        })?;
        if let Some(n) = out_of_order {
            return Err(PairError::Certificate(format!(
                "certificate {n} in it is not the issuer of the one before it; each has to be \
                followed by that of its issuer"
            )));
        }
        Ok(Pair(Arc::new(Inner { key: Arc::new(key), names, valid, is_alone })))
    }

    /// The host names that it is valid for, in lower case. Their first label may be `*`.
    pub fn names(&self) -> &[String] {
        &self.0.names
    }

    /// The first and the last second in which it is valid, since 1970.
    pub fn valid(&self) -> [u64; 2] {
        self.0.valid
    }

    /// True if no issuer's certificate follows it, and it is not self-issued.
    pub fn is_alone(&self) -> bool {
        self.0.is_alone
    }

    /// True if its key is an RSA key, which takes much longer to sign with than others.
    pub fn has_rsa_key(&self) -> bool {
        self.0.key.key.algorithm() == SignatureAlgorithm::RSA
    }

    pub(super) fn key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0.key)
    }
}

/// The number, counted from one, of the first certificate that is not the issuer of the one before
/// it.
fn first_out_of_order(chain: &[Certificate<'_>]) -> Option<usize> {
    let links = chain.iter().zip(chain.get(1..)?);
    links.clone().position(|(one, next)| one.issuer != next.subject).map(|at| at + 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
    use rcgen::{PKCS_ECDSA_P384_SHA384, PKCS_ED25519};

    struct Made {
        issuer: Issuer<'static, KeyPair>,
        pem: String,
    }

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::new(vec![format!("{name}.example")]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params
    }

    /// An authority, whose certificate is signed by itself or by another authority.
    fn authority(name: &str, by: Option<&Made>) -> Made {
        let (mut params, key) = (params(name), KeyPair::generate().unwrap());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = match by {
            None => params.self_signed(&key).unwrap().pem(),
            Some(by) => params.signed_by(&key, &by.issuer).unwrap().pem(),
        };
        Made { issuer: Issuer::new(params, key), pem }
    }

    fn read(certificate: &str, key: &str) -> Result<Pair, PairError> {
        Pair::new([certificate.as_bytes(), key.as_bytes()])
    }

    #[test]
    fn issuers_stand_behind() {
        let root = authority("root", None);
        let middle = authority("middle", Some(&root));
        let other = authority("other", None);
        let key = KeyPair::generate().unwrap();
        let own = params("a").signed_by(&key, &middle.issuer).unwrap().pem();
        let key = key.serialize_pem();
        let pair = read(&format!("{own}{}{}", middle.pem, root.pem), &key).unwrap();
        assert_eq!((pair.names(), pair.is_alone()), (&["a.example".to_owned()][..], false));
        assert!(read(&own, &key).unwrap().is_alone());
        assert_eq!(pair, pair.clone());
        assert_ne!(pair, read(&own, &key).unwrap());
        for (chain, n) in [
            (format!("{own}{}", root.pem), 2),
            (format!("{own}{}{}", middle.pem, other.pem), 3),
            (format!("{own}{}{}", root.pem, middle.pem), 2),
        ] {
            let Err(PairError::Certificate(what)) = read(&chain, &key) else { panic!("{n}") };
            assert!(what.starts_with(&format!("certificate {n} in it is not the ")), "{what}");
        }
        let Err(PairError::Key(what)) = read(&format!("{}{own}", middle.pem), &key) else {
            panic!("the key does not match the first certificate")
        };
        assert_eq!(what, "it is not the key of the certificate");
    }

    #[test]
    fn what_cannot_be_used() {
        let made = |algorithm| {
            let key = KeyPair::generate_for(algorithm).unwrap();
            (params("a").self_signed(&key).unwrap().pem(), key.serialize_pem())
        };
        let (own, key) = made(&PKCS_ED25519);
        let pair = read(&own, &key).unwrap();
        assert!(!pair.is_alone() && !pair.has_rsa_key());
        let (_, other) = made(&PKCS_ECDSA_P384_SHA384);
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\n\
            AAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let odd = own.replacen("M", "A", 1);
        for (certificate, key, wrong) in [
            ("", &*key, "no certificate in it; it has to be a PEM file"),
            (&key, &key, "no certificate in it; it has to be a PEM file"),
            ("-----BEGIN CERTIFICATE-----\nA\n", &key, "not a PEM file: "),
            (&odd, &key, "certificate 1 in it cannot be read"),
        ] {
            let Err(PairError::Certificate(what)) = read(certificate, key) else {
                panic!("{wrong}")
            };
            assert!(what.starts_with(wrong), "{what}");
        }
        for (key, wrong) in [
            (&*own, "no private key in it: "),
            (encrypted, "it is encrypted, and nobody can be asked for the passphrase; "),
            (&other, "it is not the key of the certificate"),
        ] {
            let Err(PairError::Key(what)) = read(&own, key) else { panic!("{wrong}") };
            assert!(what.starts_with(wrong), "{what}");
        }
    }
}

//! Certificate revocation lists (RFC 5280 section 5).

use super::pem::{certificates_in, lists_in};
use super::terms::RevocationList;
use super::x509::{self, Certificate, CertificateList};
use rustls::pki_types::CertificateRevocationListDer;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The maximum number of sets of lists. Authorities change their keys one after the other.
const SETS_MAX: usize = 16;

/// The revocation lists in a file. Equal if their bytes are equal.
#[derive(Clone, Debug)]
pub struct RevocationLists(Arc<Lists>);

#[derive(Debug)]
struct Lists {
    /// The encoded lists, without those that a newer one replaces. If several cover a certificate,
    /// the library uses the first.
    encoded: Vec<CertificateRevocationListDer<'static>>,
    /// Their content, in the same order.
    told: Vec<RevocationList>,
    /// The indices of those that are used together: of each issuer the lists of one of its keys. An
    /// authority that changes its key keeps its name, and the library finds lists by the name.
    sets: Vec<Vec<usize>>,
}

impl PartialEq for RevocationLists {
    fn eq(&self, other: &RevocationLists) -> bool {
        self.0.encoded == other.0.encoded
    }
}

impl Eq for RevocationLists {}

impl RevocationLists {
    /// Reads the lists in a PEM file. Whether they can be used is known only when a server is
    /// created with them.
    ///
    /// # Errors
    /// If the file cannot be used.
    pub fn read(pem: &[u8]) -> Result<RevocationLists, String> {
        let encoded = lists_in(pem)?;
        let mut read = Vec::new();
        for list in &encoded {
            let what = match CertificateList::read(list) {
                Some(of_list @ CertificateList { has_version: true, .. }) => {
                    read.push((of_list, list));
                    continue;
                }
                Some(_) => {
                    "a revocation list in it is of version 1; issue it with extensions \
                     (crl_extensions in the configuration of openssl ca)"
                }
                None => {
                    "a revocation list in it cannot be read, or does not say when the next one is \
                     due (nextUpdate)"
                }
            };
            return Err(what.to_owned());
        }
        read.sort_by_key(|(of_list, _)| Reverse(of_list.updates));
        let mut lists = Lists { encoded: Vec::new(), told: Vec::new(), sets: Vec::new() };
        let (mut complete, mut signers) = (Vec::new(), Vec::new());
        for (CertificateList { issuer, updates, revoked, is_partial, key, .. }, list) in read {
            if complete.contains(&(issuer, key)) {
                continue;
            }
            if !is_partial {
                complete.push((issuer, key));
            }
            signers.push((issuer, key));
            let issuer = x509::name(issuer).unwrap_or_default();
            lists.told.push(RevocationList { issuer, updates, revoked });
            lists.encoded.push(list.clone());
        }
        lists.sets = sets(&signers).ok_or(
            "its revocation lists are of too many keys of the same issuers; remove those of keys \
             that are no longer used",
        )?;
        Ok(RevocationLists(Arc::new(lists)))
    }

    /// The content of the lists.
    pub fn all(&self) -> &[RevocationList] {
        &self.0.told
    }

    /// The size of the largest list in bytes.
    pub fn largest(&self) -> usize {
        self.0.encoded.iter().map(|list| list.len()).max().unwrap_or_default()
    }

    /// The authorities in a PEM file without a list. No certificate that they issued can be
    /// accepted.
    pub fn missing(&self, authorities: &[u8]) -> Vec<String> {
        let certificates = certificates_in(authorities).unwrap_or_default();
        let subjects = certificates.iter().filter_map(|der| Certificate::read(der));
        let missing = subjects.map(|read| read.subject).filter(|subject| {
            let mut issuers = self.0.encoded.iter().filter_map(|list| CertificateList::read(list));
            !issuers.any(|list| list.issuer == *subject)
        });
        missing.map(|subject| x509::name(subject).unwrap_or_default()).collect()
    }

    /// The maximum number of times that a handshake verifies the lists of its issuers.
    pub fn times(&self) -> usize {
        self.0.sets.len()
    }

    /// The encoded lists that are used together: of each issuer the lists of one of its keys.
    pub(super) fn sets(&self) -> impl Iterator<Item = Vec<CertificateRevocationListDer<'static>>> {
        let Lists { encoded, sets, .. } = &*self.0;
        let of = move |places: &Vec<usize>| -> Vec<_> {
            places.iter().map(|place| encoded[*place].clone()).collect()
        };
        sets.iter().map(of)
    }
}

/// The indices of lists that are used together, given the issuer and the key of each list. None if
/// there are too many sets.
fn sets(signers: &[(&[u8], &[u8])]) -> Option<Vec<Vec<usize>>> {
    let mut issuers: BTreeMap<&[u8], BTreeMap<&[u8], Vec<usize>>> = BTreeMap::new();
    for (place, (issuer, key)) in signers.iter().enumerate() {
        issuers.entry(*issuer).or_default().entry(*key).or_default().push(place);
    }
    let mut sets = vec![Vec::new()];
    for keys in issuers.values() {
        let with_each = |set: &Vec<usize>| {
            let set = set.clone();
            keys.values().map(move |places| [set.as_slice(), places.as_slice()].concat())
        };
        sets = sets.iter().flat_map(with_each).collect();
        if sets.len() > SETS_MAX {
            return None;
        }
    }
    Some(sets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::date::day;
    use rcgen::{
        CertificateParams, CertificateRevocationListParams, CrlDistributionPoint,
        CrlIssuingDistributionPoint, DnType, Issuer, KeyIdMethod, KeyPair, SerialNumber,
        date_time_ymd,
    };

    fn issuer(name: &str) -> (String, Issuer<'static, KeyPair>) {
        let (key, params) = (KeyPair::generate().unwrap(), CertificateParams::new(Vec::new()));
        let mut params = params.unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        (params.self_signed(&key).unwrap().pem(), Issuer::new(params, key))
    }

    fn list(issuer: &Issuer<'_, KeyPair>, from: i32) -> String {
        made(issuer, from, None)
    }

    /// A list that covers only some of the certificates.
    fn part(issuer: &Issuer<'_, KeyPair>, from: i32) -> String {
        let uris = vec!["http://a.example/part".to_owned()];
        let distribution_point = CrlDistributionPoint { uris };
        made(issuer, from, Some(CrlIssuingDistributionPoint { distribution_point, scope: None }))
    }

    fn made(
        issuer: &Issuer<'_, KeyPair>,
        from: i32,
        part: Option<CrlIssuingDistributionPoint>,
    ) -> String {
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(from, 1, 1),
            next_update: date_time_ymd(from + 1, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: part,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(issuer).unwrap().pem().unwrap()
    }

    /// A list that was replaced is ignored.
    #[test]
    fn the_newest_list_of_an_issuer_counts() {
        let ((a, by_a), (b, _)) = (issuer("a"), issuer("b"));
        let pem = [list(&by_a, 2020), list(&by_a, 2022), list(&by_a, 2021)].concat();
        let lists = RevocationLists::read(pem.as_bytes()).unwrap();
        let told = |lists: &RevocationLists| {
            let told = lists
                .all()
                .iter()
                .map(|list| format!("{} {} {}", list.issuer, day(list.updates[0]), list.revoked));
            told.collect::<Vec<_>>()
        };
        assert_eq!(told(&lists), ["CN=a 2022-01-01 0"]);
        let parts = [part(&by_a, 2023), list(&by_a, 2022), part(&by_a, 2024), part(&by_a, 2021)];
        let parts = RevocationLists::read(parts.concat().as_bytes()).unwrap();
        let newer = ["CN=a 2024-01-01 0", "CN=a 2023-01-01 0", "CN=a 2022-01-01 0"];
        assert_eq!(told(&parts), newer);
        assert_eq!(lists.missing((a.clone() + &b).as_bytes()), ["CN=b"]);
        assert_eq!(lists.missing(a.as_bytes()), [""; 0]);
        let again = RevocationLists::read(pem.as_bytes()).unwrap();
        assert!(
            again == lists
                && Some(again) != RevocationLists::read(list(&by_a, 2020).as_bytes()).ok()
        );
    }

    /// An authority that changes its key has a list of each key for a while.
    #[test]
    fn each_key_of_an_issuer_has_lists() {
        let [(_, old), (_, new), (_, other)] = ["a", "a", "b"].map(issuer);
        let newest = [list(&old, 2022), list(&new, 2021), list(&other, 2023)];
        let pem = [newest.concat(), list(&old, 2020), part(&new, 2020)].concat();
        let lists = RevocationLists::read(pem.as_bytes()).unwrap();
        let days = |list: &RevocationList| day(list.updates[0]);
        let told: Vec<_> = lists.all().iter().map(days).collect();
        assert_eq!(told, ["2023-01-01", "2022-01-01", "2021-01-01"]);
        let read = |pem: &String| lists_in(pem.as_bytes()).unwrap().remove(0);
        let [old, new, other] = newest.each_ref().map(read);
        let mut sets: Vec<_> = lists.sets().collect();
        sets.sort_by_key(|set| *set != [old.clone(), other.clone()]);
        assert_eq!(sets, [[old, other.clone()], [new, other]]);
        assert_eq!(lists.times(), 2);
    }

    #[test]
    fn there_are_not_too_many_keys() {
        let of = |issuers: usize| {
            let names = (0..issuers).flat_map(|number| [number.to_string(), number.to_string()]);
            let pem: String = names.map(|name| list(&issuer(&name).1, 2020)).collect();
            RevocationLists::read(pem.as_bytes())
        };
        assert_eq!(of(4).map(|lists| lists.times()), Ok(16));
        assert!(of(5).unwrap_err().contains("too many keys"));
    }

    /// It never panics, and refuses truncated lists.
    #[test]
    fn what_is_broken() {
        let pem = list(&issuer("a").1, 2020);
        let der = lists_in(pem.as_bytes()).unwrap().remove(0);
        assert!(CertificateList::read(&der).is_some());
        for cut in 0..der.len() {
            assert_eq!(CertificateList::read(&der[..cut]), None, "{cut}");
        }
        for at in 0..der.len() {
            for bit in 0..8 {
                let mut broken = der.to_vec();
                broken[at] ^= 1 << bit;
                let _ = CertificateList::read(&broken);
            }
        }
    }
}

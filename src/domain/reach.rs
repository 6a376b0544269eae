//! Decides whether a key may be used for a request, by the client's address and what is asked. Runs for every request, so nothing is read
//! or allocated for it.

use core::{fmt, net::IpAddr};

use super::{
    bounds::{DataAction, KeyScopes, names_dataset},
    network::AddressRange,
};

/// The use of a key for one request.
#[derive(Debug, Clone, Copy)]
pub struct KeyPurpose<'a> {
    /// The client's address, if known.
    pub from: Option<IpAddr>,
    /// The data set; `None` for a request about none.
    pub dataset: Option<&'a str>,
    /// What the request does.
    pub action: DataAction,
}

/// Why a working key may not be used for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutOfReach {
    /// The key does not allow this address.
    Address,
    /// The key does not allow this action.
    Action(DataAction),
    /// The key does not allow this data set.
    Dataset,
    /// The owner's plan does not include this data set.
    Plan,
    /// The session of an administrator lacks the second factor that is demanded.
    SecondFactor,
}

/// What a key may be used for, parsed once.
#[derive(Default, PartialEq)]
pub struct KeyReach {
    networks: Option<Box<[AddressRange]>>,
    scopes: KeyScopes,
    lacks_factor: bool,
}

/// Leaves out the networks: they are personal data.
impl fmt::Debug for KeyReach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyReach").field("scopes", &self.scopes).finish_non_exhaustive()
    }
}

impl KeyReach {
    /// Tells whether the scopes include this data set.
    pub fn is_for(&self, dataset: &str) -> bool {
        names_dataset(self.scopes.datasets.as_deref(), dataset)
    }

    /// The reach of a key with these networks (`None` for any) and scopes. Texts that are no networks allow nobody.
    pub fn new<'a>(networks: Option<impl Iterator<Item = &'a str>>, scopes: KeyScopes) -> Self {
        let networks = networks.map(|texts| texts.filter_map(AddressRange::parse).collect());
        Self { networks, scopes, lacks_factor: false }
    }

    /// The reach of a session without the second factor that is demanded: nothing.
    pub fn without_factor() -> Self {
        Self { lacks_factor: true, ..Self::default() }
    }

    /// The reason why the use is refused; `None` if it is allowed.
    pub fn refusal(&self, what: &KeyPurpose<'_>) -> Option<OutOfReach> {
        if self.lacks_factor {
            return Some(OutOfReach::SecondFactor);
        }
        let is_in = |networks: &[AddressRange]| {
            what.from.is_some_and(|from| networks.iter().any(|network| network.contains(from)))
        };
        if self.networks.as_deref().is_some_and(|networks| !is_in(networks)) {
            return Some(OutOfReach::Address);
        }
        let dataset = what.dataset?;
        if !self.is_for(dataset) {
            return Some(OutOfReach::Dataset);
        }
        (!self.scopes.allow(what.action)).then_some(OutOfReach::Action(what.action))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_used_from_where_and_for_what_it_may() {
        let scopes = KeyScopes { datasets: Some(vec!["permits".to_owned()]), actions: vec![DataAction::Read] };
        let reach = KeyReach::new(Some(["192.0.2.0/24", "no network", "2001:db8::/32"].into_iter()), scopes);
        let ask = |from: Option<&str>, dataset, action| {
            reach.refusal(&KeyPurpose { from: from.map(|from| from.parse().unwrap()), dataset, action })
        };
        let (read, export) = (DataAction::Read, DataAction::Export);
        assert_eq!(ask(Some("192.0.2.7"), Some("permits"), read), None);
        assert_eq!(ask(Some("::ffff:192.0.2.7"), Some("permits"), read), None);
        assert_eq!(ask(Some("2001:db8::9"), None, export), None, "what is about no data set needs no scope");
        assert_eq!(ask(Some("192.0.3.7"), Some("permits"), read), Some(OutOfReach::Address));
        assert_eq!(ask(None, Some("permits"), read), Some(OutOfReach::Address), "whose address nobody knows");
        assert_eq!(ask(Some("192.0.2.7"), Some("trees"), read), Some(OutOfReach::Dataset));
        assert_eq!(ask(Some("192.0.2.7"), Some("permits"), export), Some(OutOfReach::Action(export)));
        let nobody = KeyReach::new(Some([].into_iter()), KeyScopes::default());
        let anybody = KeyPurpose { from: Some("192.0.2.7".parse().unwrap()), dataset: None, action: read };
        assert_eq!(nobody.refusal(&anybody), Some(OutOfReach::Address));
        assert_eq!(KeyReach::default().refusal(&KeyPurpose { from: None, ..anybody }), None);
        assert_eq!(KeyReach::without_factor().refusal(&anybody), Some(OutOfReach::SecondFactor));
    }
}

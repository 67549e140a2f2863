//! Reasons of errors in their wire form.

use crate::{feed, identity, orgtree, registration, rpc};

const PREFIX: &str = "ERROR_REASON_";

/// A reason of `google.rpc.ErrorInfo`: the name of an enum value without its
/// prefix, and the domain that it is stable in.
pub trait Reason: Copy {
    /// The domain, such as `registration.zhiyuan`.
    const DOMAIN: &'static str;

    /// The name of the enum value.
    fn enum_name(self) -> &'static str;

    /// The reason as it goes on the wire, such as `REQUEST_ID_REUSED`.
    fn wire(self) -> &'static str {
        let name = self.enum_name();
        name.strip_prefix(PREFIX).unwrap_or(name)
    }
}

macro_rules! reason {
    ($type:ty, $domain:literal) => {
        impl Reason for $type {
            const DOMAIN: &'static str = $domain;
            fn enum_name(self) -> &'static str {
                self.as_str_name()
            }
        }
    };
}

reason!(rpc::v1::ErrorReason, "zhiyuan");
reason!(feed::v1::ErrorReason, "feed.zhiyuan");
reason!(identity::v1::ErrorReason, "identity.zhiyuan");
reason!(registration::v1::ErrorReason, "registration.zhiyuan");
reason!(orgtree::v1::ErrorReason, "orgtree.zhiyuan");

#[cfg(test)]
mod tests {
    use super::Reason;

    #[test]
    fn goes_on_the_wire_without_its_prefix() {
        let reason = crate::registration::v1::ErrorReason::RequestIdReused;
        assert_eq!(reason.wire(), "REQUEST_ID_REUSED");
    }
}

#![doc = include_str!("../README.md")]

mod look_up;
mod personal;
pub mod policy;
pub mod reason;

/// The encoded descriptor set of all contracts, options and comments included.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));

/// Who may call, and how calls are limited.
pub mod access {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("zhiyuan.access.v1");
    }
}

/// What every service may answer.
pub mod rpc {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("zhiyuan.rpc.v1");
    }
}

/// The messages with which one follows what happens in a service.
pub mod feed {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("zhiyuan.feed.v1");
    }
}

/// Persons, credentials, consents.
pub mod identity {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("zhiyuan.identity.v1");
    }
}

/// Registration of volunteers.
pub mod registration {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("zhiyuan.registration.v1");
    }
}

/// Regions and organizations.
pub mod orgtree {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("zhiyuan.orgtree.v1");
    }
}

/// Decodes the descriptor set.
///
/// # Panics
/// Never with the descriptor set of this crate; a test decodes it.
pub fn descriptor_pool() -> prost_reflect::DescriptorPool {
    #[expect(
        clippy::expect_used,
        reason = "the bytes are made by our own build, and a test decodes them"
    )]
    prost_reflect::DescriptorPool::decode(DESCRIPTOR_SET).expect("the descriptor set is valid")
}

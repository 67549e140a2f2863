use super::memory::MemoryKeyStore;
use super::*;
use crate::suite::International;

fn ring(active: i16, versions: &[(i16, u8)]) -> KeyRing {
    let keys = versions.iter().map(|(version, byte)| (*version, Key32::from_bytes([*byte; 32])));
    KeyRing::new(Arc::new(International), active, keys.collect()).unwrap()
}

fn subject(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

#[test]
fn a_wrapped_key_is_unwrapped_with_its_version() {
    let ring = ring(1, &[(1, 1)]);
    for version in [1, 2, i16::MAX] {
        let data_key = DataKey::generate(version);
        let wrapped = ring.wrap(subject(7), &data_key).unwrap();
        assert_eq!((wrapped.version, wrapped.bytes.len()), (1, 64));
        assert_eq!(ring.unwrap(subject(7), &wrapped), Ok(data_key));
    }
}

/// What is stored must open for ever; wrapped with Python's `cryptography`.
#[test]
fn unwraps_what_another_implementation_wrapped() {
    let text = "01010003000102030405060708090a0bbea3902325fb037cfb6fe2c1256ccda6abc36e0ff0944005\
     74cf3d85a48238b7769f2203462326ffabbe7cd424ceda5c";
    let wrapped = WrappedKey { version: 1, bytes: crate::suite::tests::hex(text) };
    assert_eq!(ring(1, &[(1, 1)]).unwrap(subject(7), &wrapped), Ok(DataKey::fixed(3, 5)));
}

#[test]
fn a_wrapped_key_does_not_hold_the_key_in_clear() {
    let data_key = DataKey::generate(1);
    let wrapped = ring(1, &[(1, 1)]).wrap(subject(7), &data_key).unwrap();
    assert!(!wrapped.bytes.windows(32).any(|window| window == data_key.key().as_bytes()));
}

#[test]
fn a_wrapped_key_belongs_to_its_subject() {
    let ring = ring(1, &[(1, 1)]);
    let wrapped = ring.wrap(subject(7), &DataKey::generate(1)).unwrap();
    assert_eq!(ring.unwrap(subject(8), &wrapped), Err(UnwrapError::Corrupt));
}

#[test]
fn every_altered_byte_of_a_wrapped_key_is_noticed() {
    let ring = ring(1, &[(1, 1)]);
    let wrapped = ring.wrap(subject(7), &DataKey::generate(1)).unwrap();
    for at in 0..wrapped.bytes.len() {
        let mut altered = wrapped.clone();
        altered.bytes[at] ^= 1;
        assert_eq!(ring.unwrap(subject(7), &altered), Err(UnwrapError::Corrupt), "byte {at}");
    }
    for length in 0..wrapped.bytes.len() {
        let bytes = wrapped.bytes[..length].to_vec();
        let cut = WrappedKey { bytes, ..wrapped };
        assert_eq!(ring.unwrap(subject(7), &cut), Err(UnwrapError::Corrupt), "{length} bytes");
    }
}

#[test]
fn rotation_keeps_old_keys_readable_and_wraps_under_the_new_one() {
    let data_key = DataKey::generate(1);
    let old = ring(1, &[(1, 1)]).wrap(subject(7), &data_key).unwrap();
    let both = ring(2, &[(1, 1), (2, 2)]);
    assert_eq!(both.unwrap(subject(7), &old), Ok(data_key.clone()));
    let new = both.wrap(subject(7), &data_key).unwrap();
    assert_eq!(new.version, 2);
    assert_eq!(ring(2, &[(2, 2)]).unwrap(subject(7), &new), Ok(data_key));
}

#[test]
fn versions_are_not_mixed_up() {
    let wrapped = ring(1, &[(1, 1)]).wrap(subject(7), &DataKey::generate(1)).unwrap();
    let only_second = ring(2, &[(2, 2)]);
    let unknown = UnwrapError::UnknownVersion(UnknownVersion(1));
    assert_eq!(only_second.unwrap(subject(7), &wrapped), Err(unknown));
    // Even where the same bytes are filed under another version.
    let relabelled = WrappedKey { version: 2, ..wrapped };
    let same_bytes = ring(2, &[(1, 1), (2, 1)]);
    assert_eq!(same_bytes.unwrap(subject(7), &relabelled), Err(UnwrapError::Corrupt));
}

#[test]
fn a_ring_needs_its_active_key() {
    let keys = BTreeMap::from([(1, Key32::generate())]);
    let ring = KeyRing::new(Arc::new(International), 2, keys);
    assert_eq!(ring.unwrap_err(), UnknownVersion(2));
}

#[test]
fn keys_are_silent_in_debug_output() {
    let ring = ring(1, &[(1, 0xab)]);
    assert!(format!("{ring:?}").contains("Key32(***)"));
    assert_eq!(format!("{:?}", DataKey::generate(3)), "DataKey { version: 3, key: Key32(***) }");
}

#[tokio::test]
async fn a_store_returns_the_key_it_created() {
    let store = MemoryKeyStore::new(ring(1, &[(1, 1)]));
    assert_eq!(store.get(subject(7)).await.unwrap(), None);
    let data_key = store.create(subject(7)).await.unwrap();
    assert_eq!(data_key.version(), 1);
    assert_eq!(store.create(subject(7)).await.unwrap(), data_key);
    assert_eq!(store.get(subject(7)).await.unwrap().as_ref(), Some(&data_key));
    assert_ne!(store.create(subject(8)).await.unwrap(), data_key);
}

#[tokio::test]
async fn a_destroyed_subject_never_gets_a_key_again() {
    let store = MemoryKeyStore::new(ring(1, &[(1, 1)]));
    let other = store.create(subject(8)).await.unwrap();
    store.create(subject(7)).await.unwrap();
    for _ in 0..2 {
        store.destroy(subject(7)).await.unwrap();
        assert_eq!(store.get(subject(7)).await.unwrap(), None);
        assert!(matches!(store.create(subject(7)).await, Err(KeyStoreError::Destroyed)));
    }
    assert_eq!(store.get(subject(8)).await.unwrap(), Some(other));
}

#[tokio::test]
async fn a_subject_destroyed_before_it_had_a_key_gets_none() {
    let store = MemoryKeyStore::new(ring(1, &[(1, 1)]));
    store.destroy(subject(7)).await.unwrap();
    assert!(matches!(store.create(subject(7)).await, Err(KeyStoreError::Destroyed)));
}

#[tokio::test]
async fn keys_of_many_are_made_all_or_none_and_found_and_destroyed_together() {
    let store = MemoryKeyStore::new(ring(1, &[(1, 1)]));
    let made = store.create_many(&[subject(7), subject(8)]).await.unwrap();
    assert_eq!(store.get(subject(8)).await.unwrap().as_ref(), made.get(1));
    for known in [vec![subject(9), subject(7)], vec![subject(9), subject(9)]] {
        assert!(matches!(store.create_many(&known).await, Err(KeyStoreError::Destroyed)));
    }
    let found = store.get_many(&[subject(7), subject(8), subject(9)]).await.unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found.get(&subject(7)), made.first());
    store.destroy_many(&[subject(7), subject(9)]).await.unwrap();
    assert_eq!(store.get_many(&[subject(7), subject(9)]).await.unwrap().len(), 0);
    assert!(matches!(store.create_many(&[subject(9)]).await, Err(KeyStoreError::Destroyed)));
    assert_eq!(store.get(subject(8)).await.unwrap().as_ref(), made.get(1));
}

//! One frame: its header, and its seal.

use codex_crypto::{Aes256GcmSealer, DatabaseId, PlaintextSealer, RootKey, Sealer, sha256};
use codex_storage::format::frame::{self, FrameHeader, PAYLOAD_LEN_MAX};
use std::sync::OnceLock;

const ID: DatabaseId = DatabaseId::from_bytes([9; 16]);

/// The first byte says whether the header gets a checksum that is right and how the frame is sealed; then come the header
/// and the payload.
pub fn run(input: &[u8]) {
    let Some((flags, rest)) = input.split_first() else { return };
    let Some((bytes, payload)) = rest.split_first_chunk::<{ FrameHeader::LEN }>() else { return };
    let mut bytes = *bytes;
    if flags & 1 != 0 {
        let checksum = sha256(&[ID.as_bytes(), &bytes[..112]]);
        bytes[112..].copy_from_slice(&checksum.as_bytes()[..16]);
    }
    let offset = u64::from_le_bytes(bytes[8..16].try_into().expect("eight bytes"));
    assert_eq!(FrameHeader::decode(&bytes, offset.wrapping_add(1), ID), None, "only where it says it stands");
    let Some(header) = FrameHeader::decode(&bytes, offset, ID) else { return };
    assert_eq!(header.encode(ID), bytes, "what is decoded is encoded to the same bytes");
    assert!(usize::try_from(header.payload_len).expect("32 bits") <= PAYLOAD_LEN_MAX);
    assert!(header.durable <= offset);

    let sealer: &dyn Sealer = if flags & 2 != 0 { encrypting() } else { &PlaintextSealer::new(ID) };
    let mut foreign = payload.to_vec();
    assert!(frame::open(&header, &bytes, &mut foreign, sealer).is_err(), "nobody has sealed this");
    seal_and_damage(header, payload, *flags, sealer);
}

/// A sealed frame opens to its payload; with one bit of it flipped it does not open, or it is no frame any more.
fn seal_and_damage(header: FrameHeader, payload: &[u8], flags: u8, sealer: &dyn Sealer) {
    let payload = &payload[..payload.len().min(PAYLOAD_LEN_MAX)];
    let offset = header.offset;
    let mut sealed = [&[0; FrameHeader::LEN], payload].concat();
    frame::seal(header, &mut sealed, ID, sealer).expect("the system has random bytes");
    assert_eq!(opened(&sealed, offset, sealer).as_deref(), Some(payload));
    let bit = usize::from(flags >> 2) * 37 % (sealed.len() * 8);
    sealed[bit / 8] ^= 1 << (bit % 8);
    assert_eq!(opened(&sealed, offset, sealer), None, "bit {bit} is flipped");
}

fn opened(frame: &[u8], offset: u64, sealer: &dyn Sealer) -> Option<Vec<u8>> {
    let (encoded, sealed) = frame.split_first_chunk()?;
    let header = FrameHeader::decode(encoded, offset, ID)?;
    frame::open(&header, encoded, &mut sealed.to_vec(), sealer).ok().map(|payload| payload.to_vec())
}

fn encrypting() -> &'static Aes256GcmSealer {
    static SEALER: OnceLock<Aes256GcmSealer> = OnceLock::new();
    SEALER.get_or_init(|| {
        let root = RootKey::generate().expect("the system has random bytes");
        Aes256GcmSealer::new(&root, ID)
    })
}

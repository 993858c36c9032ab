//! Random bytes, straight from the system.
//!
//! There is no pool: bytes are never kept for later, so a forked process or a cloned machine cannot
//! use the same ones twice.

use crate::RandomError;

/// Fills `target` with random bytes. After an error its content is unspecified and must not be
/// used.
pub fn fill(target: &mut [u8]) -> Result<(), RandomError> {
    getrandom::fill(target).map_err(RandomError)
}

/// `N` random bytes. For secrets, [`fill`] the place where they stay instead: an array returned by
/// value leaves copies.
pub fn bytes<const N: usize>() -> Result<[u8; N], RandomError> {
    let mut bytes = [0; N];
    fill(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_calls_give_different_bytes() {
        assert_ne!(bytes::<32>().unwrap(), bytes::<32>().unwrap());
    }

    #[test]
    fn fill_reaches_both_ends() {
        // A byte that stays zero in 64 draws does so by chance once in 256^64.
        let mut seen = [0u8; 37];
        for _ in 0..64 {
            let drawn = bytes::<37>().unwrap();
            seen.iter_mut().zip(drawn).for_each(|(seen, drawn)| *seen |= drawn);
        }
        assert!(seen.iter().all(|&byte| byte != 0), "{seen:?}");
    }
}

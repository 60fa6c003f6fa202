//! Fingerprints of texts: whether two texts are nearly the same, without keeping either.
//!
//! Two texts are near if their words are nearly the same (`SimHash`) and half of their four-letter pieces are (`MinHash`). A
//! code or an appointment is like others by nature, so near texts are only counted, by new recipients.

use siphasher::sip::SipHasher24;
use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

/// How many pieces of a text are remembered.
const PIECES: usize = 64;
/// The fingerprint of a text. Without the key it tells nothing about the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// One bit for each of 64 directions into which the words of the text lean.
    pub simhash: u64,
    /// The smallest piece of the text in each of 64 orders.
    pub minhash: [u32; PIECES],
}

/// Shorter texts have no fingerprint: people say them all the time.
const SHORTEST: usize = 20;
/// Near texts differ in at most so many bits. Two texts of one template differ in up to 13, of two templates in at least 16.
const BITS: u32 = 12;
/// Near texts have at least so many of 64 pieces in common: half of them.
const COMMON: usize = 32;
/// The length of a piece.
const PIECE: usize = 4;
/// No more of a text is looked at.
const LONGEST: usize = 4096;

impl Fingerprint {
    /// The length of a fingerprint in bytes.
    pub const LENGTH: usize = 8 + 4 * PIECES;

    /// Returns the fingerprint of a text; `None` if it is too short to be told from others.
    pub fn of(text: &str, key: &[u8; 16]) -> Option<Self> {
        let text = normalised(text);
        let letters: Vec<char> = text.chars().take(LONGEST).collect();
        if letters.len() < SHORTEST {
            return None;
        }
        let hasher = SipHasher24::new_with_key(key);
        Some(Self {
            simhash: simhash(&text, &hasher),
            minhash: minhash(&letters, &hasher),
        })
    }

    /// Returns whether two texts are nearly the same.
    pub fn is_near(&self, other: &Self) -> bool {
        if (self.simhash ^ other.simhash).count_ones() > BITS {
            return false;
        }
        let pairs = self.minhash.iter().zip(&other.minhash);
        pairs.filter(|(ours, theirs)| ours == theirs).count() >= COMMON
    }

    /// Returns the fingerprint as the store keeps it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::LENGTH);
        bytes.extend(self.simhash.to_be_bytes());
        bytes.extend(self.minhash.iter().flat_map(|piece| piece.to_be_bytes()));
        bytes
    }

    /// Reads what the store keeps; `None` if it is no fingerprint.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (simhash, pieces) = bytes.split_first_chunk::<8>()?;
        let (pieces, rest) = pieces.as_chunks::<4>();
        if pieces.len() != PIECES || !rest.is_empty() {
            return None;
        }
        let mut minhash = [0; PIECES];
        for (to, piece) in minhash.iter_mut().zip(pieces) {
            *to = u32::from_be_bytes(*piece);
        }
        Some(Self {
            simhash: u64::from_be_bytes(*simhash),
            minhash,
        })
    }
}

/// Returns a text as it is compared: links as one word, each number as one digit, and without case, accents, invisible
/// characters and punctuation.
fn normalised(text: &str) -> String {
    let text: String = text
        .chars()
        .take(LONGEST)
        .nfkd()
        .filter(|char| !is_combining_mark(*char) && !is_invisible(*char))
        .flat_map(char::to_lowercase)
        .collect();
    let mut words = Vec::new();
    for word in text.split_whitespace() {
        if word.contains("://") || word.starts_with("www.") {
            words.push("link".to_owned());
        } else {
            parts(word, &mut words);
        }
    }
    words.join(" ")
}

/// Splits a word at punctuation, and writes each run of digits as one.
fn parts(word: &str, to: &mut Vec<String>) {
    let mut part = String::new();
    for char in word.chars() {
        if char.is_numeric() {
            if !part.ends_with('0') {
                part.push('0');
            }
        } else if char.is_alphanumeric() {
            part.push(char);
        } else if !part.is_empty() {
            to.push(std::mem::take(&mut part));
        }
    }
    if !part.is_empty() {
        to.push(part);
    }
}

/// Returns whether a character shows nothing: Unicode's category Cf, and the fillers of Hangul.
fn is_invisible(char: char) -> bool {
    matches!(char,
        '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}' | '\u{8e2}'
        | '\u{115f}'..='\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
        | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0001}' | '\u{e0020}'..='\u{e007f}')
}

/// Returns whether a script writes no spaces between its words. Each of its characters counts as one.
fn has_no_spaces(char: char) -> bool {
    matches!(char,
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3040}'..='\u{30ff}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}')
}

fn simhash(text: &str, hasher: &SipHasher24) -> u64 {
    let mut leans = [0_i32; 64];
    let mut add = |word: &str| {
        let hash = hasher.hash(word.as_bytes());
        for (bit, lean) in leans.iter_mut().enumerate() {
            *lean += if hash >> bit & 1 == 1 { 1 } else { -1 };
        }
    };
    for word in text.split(' ') {
        if word.chars().any(has_no_spaces) {
            word.split("")
                .filter(|char| !char.is_empty())
                .for_each(&mut add);
        } else {
            add(word);
        }
    }
    let bits = leans.iter().enumerate().filter(|(_, lean)| **lean > 0);
    bits.fold(0, |hash, (bit, _)| hash | 1 << bit)
}

fn minhash(letters: &[char], hasher: &SipHasher24) -> [u32; PIECES] {
    let mut least = [u32::MAX; PIECES];
    let mut piece = String::with_capacity(4 * PIECE);
    for letters in letters.windows(PIECE) {
        piece.clear();
        piece.extend(letters);
        let hash = hasher.hash(piece.as_bytes());
        for (order, least) in (0_u64..).zip(&mut least) {
            *least = (*least).min(ordered(hash, order));
        }
    }
    least
}

/// Returns a piece's place in one of the orders: the last step of `SplitMix64`, which mixes all bits.
fn ordered(hash: u64, order: u64) -> u32 {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut mixed = hash.wrapping_add(STEP.wrapping_mul(order + 1));
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    let [.., a, b, c, d] = mixed.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}
